/* One member of a consumer group, on a worker's loop. See kafka.h for what it promises.
 *
 * Threads: open and close while the loop does not run; the rest, librdkafka's callbacks among it, happens on the worker's thread. Only
 * sm_kafka_member_tell, the figures and `left` are for other threads. */
#ifndef SM_KAFKA_MEMBER_H
#define SM_KAFKA_MEMBER_H

#include "ingest/kafka.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

/* Of a consumer, all members together; any thread. */
struct sm_kafka_counters {
    _Atomic uint64_t messages, bytes;
    _Atomic uint64_t undecodable, too_large;
    _Atomic uint64_t letters_sent, letters_failed;
    _Atomic uint64_t rebalances, commit_failures, errors;
    _Atomic uint64_t members_paused, partitions;
};

/* How far behind a partition is, for metrics. */
struct sm_kafka_lag {
    char topic[250];
    int32_t partition;
    uint64_t messages;
};

struct sm_kafka_member;

/* `conf` and, where there is
 * a dead-letter topic, `letters_conf` are taken. */
struct sm_kafka_member_options {
    const struct sm_kafka_options *consumer;
    struct sm_kafka_counters *counters;
    struct sm_worker *worker;
    unsigned worker_index, worker_count;
    rd_kafka_conf_t *conf, *letters_conf;
};

/* Sets the callbacks of a configuration. */
void sm_kafka_member_callbacks(rd_kafka_conf_t *conf);

/* *member is to be closed and freed also when this fails. */
enum sm_rc sm_kafka_member_open(const struct sm_kafka_member_options *options, struct sm_kafka_member **member,
                                struct sm_err *err) SM_MUST_USE;

enum sm_kafka_order {
    SM_KAFKA_RUN,
    SM_KAFKA_DRAIN,  /* take nothing more, store no offsets */
    SM_KAFKA_SETTLE, /* store the last offsets, then leave */
    SM_KAFKA_LEAVE,  /* leave, offsets as they are */
};
/* Any thread: orders only grow. */
void sm_kafka_member_tell(struct sm_kafka_member *m, enum sm_kafka_order order);
/* Any thread: it takes nothing more; it has left the group. */
bool sm_kafka_member_drained(const struct sm_kafka_member *m);
bool sm_kafka_member_left(const struct sm_kafka_member *m);
/* Any thread: calls fn for at most SM_KAFKA_LAGS_MAX partitions; returns the lag of all. */
#define SM_KAFKA_LAGS_MAX 100
uint64_t sm_kafka_member_lags(struct sm_kafka_member *m, void (*fn)(void *ctx, const struct sm_kafka_lag *lag), void *ctx);

/* Ends its threads and its use of the loop. */
void sm_kafka_member_close(struct sm_kafka_member *m);
/* After the loop was freed. */
void sm_kafka_member_free(struct sm_kafka_member *m);

#endif
