/* Writing a sampling strategy for a client, in the forms in which clients ask for one: JSON as Jaeger's agent gives it, the same with
 * numbers for enums (thrift 0.9.2), SamplingStrategyResponse of api_v2. Clients look at the operations first, if there are any.
 *
 *     sm_strategy_probability or sm_strategy_rate
 *     sm_strategy_operations, then sm_strategy_operation for each      may be left out
 *     sm_strategy_end
 *
 * Spec: jaeger-idl thrift/sampling.thrift, proto/api_v2/sampling.proto. */
#ifndef SM_STRATEGY_H
#define SM_STRATEGY_H

#include "base/buf.h"

enum sm_strategy_form { SM_STRATEGY_JSON, SM_STRATEGY_JSON_LEGACY, SM_STRATEGY_PROTO };

struct sm_strategy {
    enum sm_strategy_form form;
    struct sm_buf *out;
    struct sm_buf nested; /* protobuf: the message of operations, whose length is known last */
    bool has_operations;
    uint32_t operations;
};

/* Every trace with this probability. */
void sm_strategy_probability(struct sm_strategy *s, enum sm_strategy_form form, struct sm_buf *out, double probability);
/* So many traces per second; the fraction is cut off, the interface has whole numbers up to 32767. */
void sm_strategy_rate(struct sm_strategy *s, enum sm_strategy_form form, struct sm_buf *out, double traces_per_second);

/* Operations have probabilities of their own; those that have none get `otherwise`. Each is sampled lower_bound times a second in any
 * case, if it happens at all. */
void sm_strategy_operations(struct sm_strategy *s, double otherwise, double lower_bound);
void sm_strategy_operation(struct sm_strategy *s, struct sm_str name, double probability);

void sm_strategy_end(struct sm_strategy *s);

#endif
