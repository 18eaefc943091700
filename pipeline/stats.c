/* Names of the pipeline's own counters. */
#include "pipeline/stats.h"

const struct sm_stat_info sm_stat_infos[SM_STAT_COUNT] = {
#define SM_STAT(id, metric, labels, help) [SM_STAT_##id] = {metric, labels, help},
#include "pipeline/stats.def"
#undef SM_STAT
};
