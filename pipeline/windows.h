/* Windows: when an open trace closes. Pure functions of the settings, the trace and the time. */
#ifndef SM_WINDOWS_H
#define SM_WINDOWS_H

#include "base/base.h"
#include "span/trace.h"

struct sm_windows {
    int64_t after_root_ns; /* root there and no new span for so long */
    int64_t idle_ns;       /* no root and no new span for so long */
    int64_t max_age_ns;    /* open for so long */
    uint32_t max_spans;
    uint64_t max_bytes;    /* canonical bytes */
    int64_t late_ns;       /* spans that follow a decision are collected until none came for so long */
};

extern const struct sm_windows sm_windows_default;

/* What closes the trace at now_ns; SM_TRIGGER_NONE: nothing yet. Limits of size are the assembly's to see. */
enum sm_trigger sm_windows_due(const struct sm_windows *w, const struct sm_trace *t, int64_t now_ns);

/* When the trace is to be looked at: at its true deadline, but without a root no later than a root that came just now would
 * close it. */
int64_t sm_windows_look_at_ns(const struct sm_windows *w, const struct sm_trace *t, int64_t now_ns);

#endif
