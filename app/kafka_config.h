/* From configured Kafka consumers to running ones. */
#ifndef SM_KAFKA_CONFIG_H
#define SM_KAFKA_CONFIG_H

#include "app/engine.h"
#include "ingest/kafka.h"
#include "store/store.h"

/* What no single key can tell. */
void sm_kafka_config_validate(const struct sm_config_kafkas *consumers, struct sm_config_report *report);

/* All consumers of the configuration, with what they borrow. The configuration must outlive it. */
struct sm_kafka_set;

/* Before the workers' threads start. `store` may be NULL. NULL when a consumer cannot be made; err says which and why. */
struct sm_kafka_set *sm_kafka_set_open(const struct sm_config *c, const struct sm_store *store, const struct sm_engine *engine,
                                       struct sm_err *err) SM_MUST_USE;
void sm_kafka_set_drain(struct sm_kafka_set *set, int64_t timeout_ns);                     /* as sm_kafka_drain */
void sm_kafka_set_finish(struct sm_kafka_set *set, bool all_delivered, int64_t timeout_ns); /* as sm_kafka_finish */
void sm_kafka_set_close(struct sm_kafka_set *set);                                         /* as sm_kafka_close; NULL is allowed */
void sm_kafka_set_free(struct sm_kafka_set *set);                                          /* as sm_kafka_free */
/* For sm_kafka_collect. */
struct sm_kafka_list *sm_kafka_set_list(struct sm_kafka_set *set);

#endif
