/* Deadlines of windows. */
#include "pipeline/windows.h"

const struct sm_windows sm_windows_default = {
    .after_root_ns = 6 * SM_SEC,
    .idle_ns = 15 * SM_SEC,
    .max_age_ns = 120 * SM_SEC,
    .max_spans = 100000,
    .max_bytes = 64 * SM_MIB,
    .late_ns = 2 * SM_SEC,
};

int64_t sm_windows_look_at_ns(const struct sm_windows *w, const struct sm_trace *t, int64_t now_ns)
{
    if (t->late)
        return SM_MIN(t->last_ns + w->late_ns, t->opened_ns + w->max_age_ns);
    int64_t quiet = t->last_ns + (t->has_root ? w->after_root_ns : w->idle_ns);
    int64_t at = SM_MIN(quiet, t->opened_ns + w->max_age_ns);
    return t->has_root ? at : SM_MIN(at, now_ns + w->after_root_ns);
}

enum sm_trigger sm_windows_due(const struct sm_windows *w, const struct sm_trace *t, int64_t now_ns)
{
    if (t->late)
        return now_ns >= t->last_ns + w->late_ns || now_ns >= t->opened_ns + w->max_age_ns ? SM_TRIGGER_LATE : SM_TRIGGER_NONE;
    if (t->has_root && now_ns >= t->last_ns + w->after_root_ns)
        return SM_TRIGGER_ROOT;
    if (!t->has_root && now_ns >= t->last_ns + w->idle_ns)
        return SM_TRIGGER_IDLE;
    return now_ns >= t->opened_ns + w->max_age_ns ? SM_TRIGGER_AGE : SM_TRIGGER_NONE;
}
