/* Names of what closes windows. */
#include "span/trace.h"

const char *sm_trigger_name(enum sm_trigger t)
{
    static const char *const names[SM_TRIGGER_COUNT] = {"none",  "root",   "idle",     "max_age", "max_spans", "max_bytes",
                                                        "memory", "shutdown", "late"};
    return (unsigned)t < SM_TRIGGER_COUNT ? names[t] : "unknown";
}
