/* Copies of messages that could not be taken, on their way to the dead-letter topic: with their key, value and headers, and headers
 * that say why and where they stood (spanmill.reason, .error, .topic, .partition, .offset).
 *
 * One thread. A copy has arrived when the broker has it, or when it was given up, which is counted and logged: what cannot be taken
 * must not stop the partition for ever. */
#ifndef SM_KAFKA_LETTERS_H
#define SM_KAFKA_LETTERS_H

#include "base/base.h"

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>

struct sm_kafka_letters;

/* Who is told: which partition (its number) and which entry of its offsets a copy belongs to. */
typedef void (*sm_kafka_letter_arrived)(void *ctx, uint64_t partition, uint64_t entry);

struct sm_kafka_letters_options {
    const char *consumer; /* in logs */
    const char *topic;
    rd_kafka_conf_t *conf; /* taken */
    _Atomic uint64_t *sent, *failed;
    sm_kafka_letter_arrived arrived;
    void *ctx;
};

struct sm_kafka_letters *sm_kafka_letters_new(const struct sm_kafka_letters_options *options, struct sm_err *err);
/* What has not arrived is forgotten. NULL is allowed. */
void sm_kafka_letters_free(struct sm_kafka_letters *l);

/* False: too much is on its way, try again later. */
bool sm_kafka_letters_room(const struct sm_kafka_letters *l);
/* Sends a copy; `arrived` is called once for it, from here when it cannot be sent at all, else from sm_kafka_letters_poll. */
void sm_kafka_letters_send(struct sm_kafka_letters *l, const rd_kafka_message_t *message, const char *reason, const char *error,
                           uint64_t partition, uint64_t entry);

/* Tells of what has arrived. */
void sm_kafka_letters_poll(struct sm_kafka_letters *l);

#endif
