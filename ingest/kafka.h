/* Kafka as a source: a consumer in a consumer group, spread over the workers.
 *
 * Not a receiver (ingest/receiver.h): there is no address, and what was read is acknowledged long after it was submitted. A consumer
 * has one member of the group per worker, which lives on the worker's loop: it is woken when messages are there, submits them on the
 * worker's thread, and keeps the books of its partitions. Nothing is shared between members but counters.
 *
 * At least once. An offset is committed only when every span in front of it is decided and the traces that were kept are durable
 * (ingest/offsets.h, sm_worker_low_epoch). After a crash, or when a partition goes to another member, what was still open is read
 * again there; so traces may be stored and sent twice, never not at all.
 *
 * Each partition is a source of its own in pipeline/epochs.h; its messages arrive at the worker's time, so that windows close by the
 * wall clock also while a backlog is read.
 *
 * Back-pressure. While the memory budget is used up, or kept traces are not written as fast as they come, the message at hand is kept
 * and tried again; after a second partitions are paused. Nothing is dropped.
 *
 * A message that cannot be decoded or is too large is counted, copied to the dead-letter topic if there is one, and passed. */
#ifndef SM_KAFKA_H
#define SM_KAFKA_H

#include "base/prom.h"
#include "ingest/offsets.h"
#include "pipeline/pipeline.h"

struct sm_kafka_property {
    const char *name, *value; /* of librdkafka; the value may be a secret and is never shown */
};

/* Borrowed until sm_kafka_free. */
struct sm_kafka_options {
    const char *name;            /* in metrics and logs */
    const char *const *topics;   /* regular expressions where they begin with ^ */
    size_t topic_count;
    const char *group;
    bool earliest;               /* where a group without offsets begins; else with what comes next */
    const struct sm_codec *codec;
    uint32_t members;            /* at most; 0: one per worker */
    unsigned first_worker;       /* where they begin, so that consumers of few members do not meet */
    uint64_t message_bytes_max;
    uint64_t fetch_bytes_max;    /* what a member fetches ahead, about; 1 MiB at least */
    const char *dead_letter;     /* topic; NULL: none */
    const struct sm_kafka_property *properties; /* brokers, security and whatever the user sets */
    size_t property_count;
    struct sm_durable durable;
};

struct sm_kafka;

/* Properties that would break the promise above. */
bool sm_kafka_property_is_ours(const char *name);
/* SM_E_INVALID when librdkafka does not know the property or take the value; err says why, without the value. */
enum sm_rc sm_kafka_property_check(const struct sm_kafka_property *property, struct sm_err *err) SM_MUST_USE;

struct sm_kafka *sm_kafka_new(const struct sm_kafka_options *options);

/* Before the workers' threads start: makes the members and subscribes. Brokers that cannot be reached are no error: they are tried
 * again for as long as it takes, and the log says so. */
enum sm_rc sm_kafka_open(struct sm_kafka *k, struct sm_pipeline *pipeline, struct sm_err *err) SM_MUST_USE;

/* Any thread but the workers', while these run: no more messages are taken once it has returned. What is in flight goes on, offsets are
 * no longer stored. */
void sm_kafka_drain(struct sm_kafka *k, int64_t timeout_ns);

/* Any thread but the workers', after windows were closed and sinks have ended, while the workers run: stores and commits the last
 * offsets and leaves the group, within timeout_ns. all_delivered: nothing that was kept was lost on the way; else offsets stay where
 * they are. */
void sm_kafka_finish(struct sm_kafka *k, bool all_delivered, int64_t timeout_ns);

/* After the workers' threads have ended. */
void sm_kafka_close(struct sm_kafka *k);
/* After the pipeline was freed. NULL is allowed. */
void sm_kafka_free(struct sm_kafka *k);

/* Collector for sm_prom_registry_add; ctx is the list. */
struct sm_kafka_list {
    struct sm_kafka **items;
    size_t count;
};
void sm_kafka_collect(void *ctx, struct sm_prom *p);

#endif
