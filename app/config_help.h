/* The configuration keys as text for people, from the one table (config.def). */
#ifndef SM_CONFIG_HELP_H
#define SM_CONFIG_HELP_H

#include "base/base.h"
#include "base/buf.h"

/* For a terminal: all sections, or those whose keys begin with `topic` ("windows", "sinks[]", "windows.idle"). False, and
 * nothing written, when there is none. */
bool sm_config_help_text(const char *topic, struct sm_buf *out);

/* docs/reference/configuration.md. */
void sm_config_help_markdown(struct sm_buf *out);

#endif
