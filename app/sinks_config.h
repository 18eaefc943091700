/* From configured sinks to opened ones. */
#ifndef SM_SINKS_CONFIG_H
#define SM_SINKS_CONFIG_H

#include "app/config.h"
#include "pipeline/fanout.h"

/* The fan-out's description of one configured sink; the sink itself is new and belongs to whoever gets it. */
struct sm_fanout_sink sm_sinks_config_make(const struct sm_config_sink *config);

#endif
