/* The producer for the dead-letter topic. */
#include "ingest/kafka_letters.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdlib.h>

#define BYTES_OUT_MAX (64 * SM_MIB)

struct sm_kafka_letters {
    struct sm_kafka_letters_options options;
    rd_kafka_t *producer;
    uint64_t bytes_out; /* of messages on their way */
    bool forgotten;     /* whoever would be told is going away */
};

struct letter {
    uint64_t partition, entry;
    uint64_t bytes;
};

static void end(struct sm_kafka_letters *l, struct letter *letter, rd_kafka_resp_err_t why)
{
    l->bytes_out -= letter->bytes;
    if (!l->forgotten) {
        atomic_fetch_add_explicit(why ? l->options.failed : l->options.sent, 1, memory_order_relaxed);
        if (why)
            sm_log(SM_LOG_ERROR, "dead_letter_lost", sm_kv("consumer", l->options.consumer), sm_kv("topic", l->options.topic),
                   sm_kv("error", rd_kafka_err2str(why)));
        l->options.arrived(l->options.ctx, letter->partition, letter->entry);
    }
    free(letter);
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *copy, void *opaque)
{
    (void)producer;
    end(opaque, copy->_private, copy->err);
}

struct sm_kafka_letters *sm_kafka_letters_new(const struct sm_kafka_letters_options *options, struct sm_err *err)
{
    char why[256];
    struct sm_kafka_letters *l = sm_xcalloc(1, sizeof *l);
    l->options = *options;
    rd_kafka_conf_set_opaque(options->conf, l);
    rd_kafka_conf_set_dr_msg_cb(options->conf, on_delivery);
    l->producer = rd_kafka_new(RD_KAFKA_PRODUCER, options->conf, why, sizeof why);
    if (l->producer)
        return l;
    rd_kafka_conf_destroy(options->conf);
    sm_err_set(err, SM_E_INVALID, "kafka %s: %.200s", options->consumer, why);
    free(l);
    return NULL;
}

void sm_kafka_letters_free(struct sm_kafka_letters *l)
{
    if (!l)
        return;
    l->forgotten = true;
    rd_kafka_purge(l->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_poll(l->producer, 0);
    rd_kafka_destroy(l->producer);
    free(l);
}

static rd_kafka_headers_t *make_headers(const rd_kafka_message_t *message, const char *reason, const char *error)
{
    rd_kafka_headers_t *own = NULL;
    bool has_some = rd_kafka_message_headers(message, &own) == RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_headers_t *headers = has_some ? rd_kafka_headers_copy(own) : rd_kafka_headers_new(5);
    char partition[16], offset[32];
    snprintf(partition, sizeof partition, "%" PRId32, message->partition);
    snprintf(offset, sizeof offset, "%" PRId64, message->offset);
    const struct {
        const char *name, *value;
    } more[] = {{"spanmill.reason", reason},
                {"spanmill.error", error},
                {"spanmill.topic", rd_kafka_topic_name(message->rkt)},
                {"spanmill.partition", partition},
                {"spanmill.offset", offset}};
    for (size_t i = 0; i < SM_ARRAY_LEN(more); i++)
        rd_kafka_header_add(headers, more[i].name, -1, more[i].value, -1);
    return headers;
}

bool sm_kafka_letters_room(const struct sm_kafka_letters *l)
{
    return l->bytes_out < BYTES_OUT_MAX;
}

void sm_kafka_letters_send(struct sm_kafka_letters *l, const rd_kafka_message_t *message, const char *reason, const char *error,
                           uint64_t partition, uint64_t entry)
{
    struct letter *letter = sm_xmalloc(sizeof *letter);
    *letter = (struct letter){partition, entry, message->len + message->key_len + sizeof *letter};
    l->bytes_out += letter->bytes;
    rd_kafka_headers_t *headers = make_headers(message, reason, error);
    rd_kafka_resp_err_t rc = rd_kafka_producev(
        l->producer, RD_KAFKA_V_TOPIC(l->options.topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(message->key, message->key_len), RD_KAFKA_V_VALUE(message->payload, message->len),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(letter), RD_KAFKA_V_END);
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    rd_kafka_headers_destroy(headers);
    end(l, letter, rc);
}

void sm_kafka_letters_poll(struct sm_kafka_letters *l)
{
    rd_kafka_poll(l->producer, 0);
}
