/* Sampling rates for Jaeger's clients, from a file in the format of Jaeger's collector:
 *
 *     {"service_strategies": [{"service": "cart", "type": "probabilistic", "param": 0.5,
 *                              "operation_strategies": [{"operation": "GET /", "type": "probabilistic", "param": 0.1}]},
 *                             {"service": "batch", "type": "ratelimiting", "param": 5}],
 *      "default_strategy": {"type": "probabilistic", "param": 0.2}}
 *
 * Without a file, and where the file says nothing, everything is sampled. The default's operations hold for every service that does
 * not name them itself. One thread. */
#ifndef SM_SAMPLING_FILE_H
#define SM_SAMPLING_FILE_H

#include "ingest/strategy.h"

#define SM_SAMPLING_FILE_SIZE_MAX (UINT64_C(1) << 20)

struct sm_sampling_file;

/* path NULL: no file. NULL after filling *err when the file cannot be read or says nothing sensible. */
struct sm_sampling_file *sm_sampling_file_open(const char *path, struct sm_err *err) SM_MUST_USE;
void sm_sampling_file_close(struct sm_sampling_file *f);

/* Reads the file again if it has changed; a file that has become wrong is logged and the rates stay as they were. */
void sm_sampling_file_refresh(struct sm_sampling_file *f);

/* Has the service a strategy of its own? */
bool sm_sampling_file_names(const struct sm_sampling_file *f, struct sm_str service);

/* Appends the reply for a service. */
void sm_sampling_file_put(const struct sm_sampling_file *f, struct sm_str service, enum sm_strategy_form form, struct sm_buf *out);

#endif
