/* How much memory this process may use: the tightest of its cgroups' limits and the machine's memory. */
#ifndef SM_MEMORY_LIMIT_H
#define SM_MEMORY_LIMIT_H

#include "base/base.h"

uint64_t sm_memory_limit_bytes(void);

/* Processors that this process may run on. */
unsigned sm_processor_count(void);

#endif
