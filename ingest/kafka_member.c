/* A member of a consumer group: messages, partitions, offsets. */
#include "ingest/kafka_member.h"

#include "base/log.h"
#include "base/net/loop.h"
#include "ingest/kafka_letters.h"
#include "pipeline/wheel.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    MESSAGES_PER_TURN = 200, /* then sockets are looked at again */
    TICKS_PER_LAG = 10,
    SETTLE_TICKS_MAX = 30, /* the last offsets are waited for this long */
    CLOSE_EVENTS_PER_TICK = 100,
};
#define BYTES_PER_TURN (1 * SM_MIB)
#define HELD_NS        SM_SEC /* a message waits this long before partitions are paused */

struct partition {
    char *topic;
    int32_t number;
    uint16_t source;
    uint64_t id;  /* never used again by this member: what is on its way may outlive the partition */
    int64_t next; /* offset behind the message seen last; SM_OFFSET_NONE: none was seen */
    struct sm_offsets offsets;
};

struct sm_kafka_member {
    struct sm_kafka_member_options options;
    const char *name;
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    struct sm_kafka_letters *letters; /* NULL: no dead-letter topic */
    struct sm_loop_timer *timer;
    struct sm_loop_message wake;
    atomic_bool woken; /* the message is posted */
    _Atomic enum sm_kafka_order order;
    bool draining, leaving; /* orders that were carried out */
    atomic_bool drained, left;
    struct partition **partitions;
    unsigned partition_count;
    struct partition *last_found;
    uint64_t partitions_made;
    uint32_t source_uses[SM_EPOCH_SOURCES_MAX]; /* by its partitions */
    rd_kafka_message_t **held; /* taken from librdkafka, not submitted yet; oldest first */
    unsigned held_count, held_capacity;
    int64_t held_since_ns;
    bool room; /* as of this turn */
    bool paused, unreachable;
    unsigned ticks, settle_ticks;
    pthread_mutex_t lags_mutex; /* a few times a minute; not on the way of messages */
    struct sm_kafka_lag lags[SM_KAFKA_LAGS_MAX];
    unsigned lag_count;
    uint64_t lag_sum;
};

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static int64_t now_ns(const struct sm_kafka_member *m)
{
    return sm_loop_wall_ns(sm_worker_loop(m->options.worker));
}

/* ---- partitions ---- */

/* Sources of a worker are worker + 1, and every worker_count-th from there: the epochs of a source only grow, because one thread alone
 * submits for it. The one that the fewest partitions use; partitions that share one wait for each other's traces. */
static uint16_t choose_source(const struct sm_kafka_member *m)
{
    unsigned first = m->options.worker_index + 1, step = m->options.worker_count, best = first, best_uses = UINT32_MAX;
    for (unsigned source = first; source < SM_EPOCH_SOURCES_MAX && best_uses; source += step) {
        if (m->source_uses[source] < best_uses) {
            best = source;
            best_uses = m->source_uses[source];
        }
    }
    return (uint16_t)best;
}

static bool is_of(const struct partition *p, const char *topic, int32_t number)
{
    return p->number == number && strcmp(p->topic, topic) == 0;
}

static struct partition *partition_find(struct sm_kafka_member *m, const char *topic, int32_t number)
{
    if (m->last_found && is_of(m->last_found, topic, number))
        return m->last_found;
    for (unsigned i = 0; i < m->partition_count; i++) {
        if (is_of(m->partitions[i], topic, number))
            return m->last_found = m->partitions[i];
    }
    return NULL;
}

static void partition_add(struct sm_kafka_member *m, const char *topic, int32_t number)
{
    if (partition_find(m, topic, number))
        return;
    struct partition *p = sm_xcalloc(1, sizeof *p);
    *p = (struct partition){.topic = sm_xstrndup(topic, strlen(topic)),
                            .number = number,
                            .source = choose_source(m),
                            .id = ++m->partitions_made,
                            .next = SM_OFFSET_NONE};
    sm_offsets_init(&p->offsets);
    m->source_uses[p->source]++;
    m->partitions = sm_xrealloc(m->partitions, (m->partition_count + 1) * sizeof *m->partitions);
    m->partitions[m->partition_count++] = p;
    add(&m->options.counters->partitions, 1);
}

static void drop_held_of(struct sm_kafka_member *m, const struct partition *p)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->held_count; i++) {
        rd_kafka_message_t *message = m->held[i];
        if (is_of(p, rd_kafka_topic_name(message->rkt), message->partition))
            rd_kafka_message_destroy(message);
        else
            m->held[kept++] = message;
    }
    m->held_count = kept;
}

/* What is in flight of it is forgotten: the next owner reads it again. */
static void partition_remove(struct sm_kafka_member *m, const char *topic, int32_t number)
{
    struct partition *p = partition_find(m, topic, number);
    if (!p)
        return;
    unsigned i = 0;
    while (m->partitions[i] != p)
        i++;
    m->partitions[i] = m->partitions[--m->partition_count];
    m->last_found = NULL;
    drop_held_of(m, p);
    m->source_uses[p->source]--;
    sm_offsets_fini(&p->offsets);
    free(p->topic);
    free(p);
    atomic_fetch_sub_explicit(&m->options.counters->partitions, 1, memory_order_relaxed);
}

static void partitions_remove_all(struct sm_kafka_member *m)
{
    while (m->partition_count)
        partition_remove(m, m->partitions[0]->topic, m->partitions[0]->number);
}

/* ---- offsets ---- */

/* Hands librdkafka what may be committed, which it does once a second, and when partitions go. */
static void store_offsets(struct sm_kafka_member *m)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    for (unsigned i = 0; i < m->partition_count; i++) {
        struct partition *p = m->partitions[i];
        uint32_t low = sm_worker_low_epoch(m->options.worker, p->source);
        int64_t offset = sm_offsets_step(&p->offsets, low, &m->options.consumer->durable);
        if (offset == SM_OFFSET_NONE)
            continue;
        if (!list)
            list = rd_kafka_topic_partition_list_new((int)m->partition_count);
        rd_kafka_topic_partition_list_add(list, p->topic, p->number)->offset = offset;
    }
    if (!list)
        return;
    rd_kafka_resp_err_t rc = rd_kafka_offsets_store(m->rk, list);
    if (rc)
        sm_log(SM_LOG_WARN, "kafka_offsets_not_stored", sm_kv("consumer", m->name), sm_kv("error", rd_kafka_err2str(rc)));
    rd_kafka_topic_partition_list_destroy(list);
}

static bool all_settled(const struct sm_kafka_member *m)
{
    for (unsigned i = 0; i < m->partition_count; i++) {
        if (!sm_offsets_settled(&m->partitions[i]->offsets))
            return false;
    }
    return true;
}

static void on_letter_arrived(void *ctx, uint64_t partition, uint64_t entry)
{
    struct sm_kafka_member *m = ctx;
    for (unsigned i = 0; i < m->partition_count; i++) {
        if (m->partitions[i]->id == partition)
            sm_offsets_arrived(&m->partitions[i]->offsets, entry);
    }
}

/* ---- messages ---- */

/* A dead letter that is read itself, by a regular expression, is not copied again: it would never end. */
static bool wants_copy(const struct sm_kafka_member *m, const struct partition *p)
{
    return m->letters && strcmp(p->topic, m->options.consumer->dead_letter) != 0;
}

/* Counted, copied if there is where to, passed. False: no room for the copy now. */
static bool pass_poison(struct sm_kafka_member *m, struct partition *p, const rd_kafka_message_t *message, const char *reason,
                        const char *error)
{
    bool copy = wants_copy(m, p);
    if (copy && !sm_kafka_letters_room(m->letters))
        return false;
    sm_log(SM_LOG_WARN, "kafka_message_passed", sm_kv("consumer", m->name), sm_kv("topic", p->topic), sm_kv("partition", p->number),
           sm_kv("offset", message->offset), sm_kv("reason", reason), sm_kv("error", error));
    sm_offsets_note(&p->offsets, sm_worker_epoch(m->options.worker), message->offset + 1);
    if (copy) {
        uint64_t entry = sm_offsets_copied(&p->offsets);
        sm_kafka_letters_send(m->letters, message, reason, error, p->id, entry);
    }
    return true;
}

static bool pass_too_large(struct sm_kafka_member *m, struct partition *p, const rd_kafka_message_t *message)
{
    char error[100];
    snprintf(error, sizeof error, "%zu bytes, at most %llu are taken", message->len,
             (unsigned long long)m->options.consumer->message_bytes_max);
    if (!pass_poison(m, p, message, "too_large", error))
        return false;
    sm_worker_count_undecodable(m->options.worker);
    add(&m->options.counters->too_large, 1);
    return true;
}

static bool has_room(struct sm_kafka_member *m)
{
    return !sm_worker_overloaded(m->options.worker) && !sm_worker_sinks_behind(m->options.worker);
}

/* True: dealt with. False: it is to be tried again later. */
static bool submit(struct sm_kafka_member *m, struct partition *p, const rd_kafka_message_t *message)
{
    struct sm_submit result;
    if (!m->room)
        return false;
    if (message->len > m->options.consumer->message_bytes_max)
        return pass_too_large(m, p, message);
    struct sm_payload *payload = sm_payload_new(sm_worker_payloads(m->options.worker), message->len);
    if (!payload)
        return false;
    if (message->len)
        memcpy(payload->data, message->payload, message->len);
    payload->size = message->len;
    payload->arrived_ns = now_ns(m);
    sm_worker_submit(m->options.worker, m->options.consumer->codec, p->source, &payload, &result);
    if (result.rc == SM_E_AGAIN || result.rc == SM_E_NOMEM)
        return false;
    if (result.rc == SM_OK) {
        sm_offsets_note(&p->offsets, sm_worker_epoch(m->options.worker), message->offset + 1);
        return true;
    }
    if (!pass_poison(m, p, message, "undecodable", result.text))
        return false;
    add(&m->options.counters->undecodable, 1);
    return true;
}

/* A message without a value says that a key was deleted, which is nothing to us. */
static bool take(struct sm_kafka_member *m, struct partition *p, const rd_kafka_message_t *message)
{
    if (message->payload && !submit(m, p, message))
        return false;
    if (!message->payload)
        sm_offsets_note(&p->offsets, sm_worker_epoch(m->options.worker), message->offset + 1);
    add(&m->options.counters->messages, 1);
    add(&m->options.counters->bytes, message->len);
    return true;
}

static void hold(struct sm_kafka_member *m, rd_kafka_message_t *message)
{
    if (m->held_count == m->held_capacity) {
        m->held_capacity = SM_MAX(2 * m->held_capacity, 8);
        m->held = sm_xrealloc(m->held, m->held_capacity * sizeof *m->held);
    }
    if (m->held_count == 0)
        m->held_since_ns = now_ns(m);
    m->held[m->held_count++] = message;
}

static void note_error(struct sm_kafka_member *m, const rd_kafka_message_t *message)
{
    add(&m->options.counters->errors, 1);
    sm_log(SM_LOG_WARN, "kafka_error", sm_kv("consumer", m->name), sm_kv("error", rd_kafka_message_errstr(message)));
}

static void note_reachable(struct sm_kafka_member *m)
{
    if (m->unreachable)
        sm_log(SM_LOG_INFO, "kafka_reachable", sm_kv("consumer", m->name));
    m->unreachable = false;
}

static void handle(struct sm_kafka_member *m, rd_kafka_message_t *message)
{
    struct partition *p = NULL;
    if (message->err)
        note_error(m, message);
    else
        p = partition_find(m, rd_kafka_topic_name(message->rkt), message->partition);
    if (p && !m->draining) {
        p->next = message->offset + 1;
        if (m->held_count || !take(m, p, message)) {
            hold(m, message);
            return;
        }
    }
    rd_kafka_message_destroy(message);
}

static void retry_held(struct sm_kafka_member *m)
{
    unsigned done = 0;
    while (done < m->held_count) {
        rd_kafka_message_t *message = m->held[done];
        struct partition *p = partition_find(m, rd_kafka_topic_name(message->rkt), message->partition);
        if (p && !m->draining && !take(m, p, message))
            break;
        rd_kafka_message_destroy(message);
        done++;
    }
    if (done == 0)
        return;
    m->held_count -= done;
    memmove(m->held, m->held + done, m->held_count * sizeof *m->held);
}

static void set_paused(struct sm_kafka_member *m, bool paused)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)m->partition_count);
    for (unsigned i = 0; i < m->partition_count; i++)
        rd_kafka_topic_partition_list_add(list, m->partitions[i]->topic, m->partitions[i]->number);
    if (paused)
        rd_kafka_pause_partitions(m->rk, list);
    else
        rd_kafka_resume_partitions(m->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (m->paused == paused)
        return;
    m->paused = paused;
    if (paused)
        add(&m->options.counters->members_paused, 1);
    else
        atomic_fetch_sub_explicit(&m->options.counters->members_paused, 1, memory_order_relaxed);
}

/* Long waits: librdkafka must be polled, or the group takes this member for dead. */
static void pause_or_resume(struct sm_kafka_member *m)
{
    bool was_paused = m->paused;
    if (!m->paused && m->held_count && now_ns(m) - m->held_since_ns > HELD_NS)
        set_paused(m, true);
    else if (m->paused && !m->held_count && !m->draining && m->room)
        set_paused(m, false);
    if (m->paused != was_paused && !m->draining)
        sm_log(SM_LOG_INFO, m->paused ? "kafka_paused" : "kafka_resumed", sm_kv("consumer", m->name),
               sm_kv("partitions", m->partition_count));
}

/* ---- turns ---- */

static void post(struct sm_kafka_member *m)
{
    if (!atomic_exchange_explicit(&m->woken, true, memory_order_acq_rel))
        sm_loop_post_message(sm_worker_loop(m->options.worker), &m->wake);
}

/* Takes what librdkafka has. While a message waits nothing more is asked for, until partitions are paused: then callbacks alone come. */
static void read_messages(struct sm_kafka_member *m)
{
    uint64_t bytes = 0;
    unsigned n = 0;
    m->room = has_room(m);
    retry_held(m);
    while (n < MESSAGES_PER_TURN && bytes < BYTES_PER_TURN && (m->held_count == 0 || m->paused)) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(m->rk, 0);
        if (!message)
            return;
        n++;
        bytes += message->len;
        handle(m, message);
    }
    if (m->held_count == 0)
        post(m);
}

static void turn(struct sm_kafka_member *m)
{
    if (!m->leaving)
        read_messages(m);
    for (unsigned i = 0; m->leaving && i < CLOSE_EVENTS_PER_TICK && rd_kafka_queue_poll_callback(m->queue, 0); i++)
        ;
}

static void on_wake(struct sm_loop_message *message)
{
    struct sm_kafka_member *m = SM_CONTAINER_OF(message, struct sm_kafka_member, wake);
    atomic_store_explicit(&m->woken, false, memory_order_release);
    turn(m);
}

/* One of librdkafka's threads. */
static void on_queue(rd_kafka_t *rk, void *opaque)
{
    (void)rk;
    post(opaque);
}

static void publish_lags(struct sm_kafka_member *m)
{
    pthread_mutex_lock(&m->lags_mutex);
    m->lag_count = 0;
    m->lag_sum = 0;
    for (unsigned i = 0; i < m->partition_count; i++) {
        const struct partition *p = m->partitions[i];
        int64_t low, high;
        if (p->next == SM_OFFSET_NONE ||
            rd_kafka_get_watermark_offsets(m->rk, p->topic, p->number, &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR || high < 0)
            continue;
        uint64_t messages = (uint64_t)SM_MAX(high - p->next, INT64_C(0));
        m->lag_sum += messages;
        if (m->lag_count == SM_KAFKA_LAGS_MAX)
            continue;
        struct sm_kafka_lag *lag = &m->lags[m->lag_count++];
        snprintf(lag->topic, sizeof lag->topic, "%s", p->topic);
        lag->partition = p->number;
        lag->messages = messages;
    }
    pthread_mutex_unlock(&m->lags_mutex);
}

/* The consumer closes in the background: partitions are given up through the queue, then `left` is seen. */
static void leave(struct sm_kafka_member *m)
{
    m->leaving = true;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(m->rk, m->queue);
    if (!error)
        return;
    sm_log(SM_LOG_WARN, "kafka_not_left", sm_kv("consumer", m->name), sm_kv("error", rd_kafka_error_string(error)));
    rd_kafka_error_destroy(error);
    atomic_store_explicit(&m->left, true, memory_order_release);
}

static void obey(struct sm_kafka_member *m)
{
    enum sm_kafka_order order = atomic_load_explicit(&m->order, memory_order_acquire);
    if (order >= SM_KAFKA_DRAIN && !m->draining) {
        m->draining = true;
        set_paused(m, true);
        retry_held(m); /* lets go of them */
        atomic_store_explicit(&m->drained, true, memory_order_release);
    }
    if (order == SM_KAFKA_SETTLE && !m->leaving) {
        store_offsets(m);
        if (all_settled(m) || ++m->settle_ticks > SETTLE_TICKS_MAX)
            leave(m);
    } else if (order == SM_KAFKA_LEAVE && !m->leaving) {
        leave(m);
    }
}

static void on_tick(void *arg)
{
    struct sm_kafka_member *m = arg;
    if (m->letters)
        sm_kafka_letters_poll(m->letters);
    obey(m);
    turn(m);
    if (m->leaving) {
        if (rd_kafka_consumer_closed(m->rk))
            atomic_store_explicit(&m->left, true, memory_order_release);
        return;
    }
    pause_or_resume(m);
    if (!m->draining)
        store_offsets(m);
    if (++m->ticks % TICKS_PER_LAG == 0)
        publish_lags(m);
}

/* ---- librdkafka's callbacks, from within polling ---- */

static void on_assigned(struct sm_kafka_member *m, rd_kafka_topic_partition_list_t *list, bool cooperative)
{
    rd_kafka_error_t *error = NULL;
    note_reachable(m);
    for (int i = 0; i < list->cnt; i++)
        partition_add(m, list->elems[i].topic, list->elems[i].partition);
    if (cooperative)
        error = rd_kafka_incremental_assign(m->rk, list);
    else
        rd_kafka_assign(m->rk, list);
    if (error) {
        sm_log(SM_LOG_ERROR, "kafka_not_assigned", sm_kv("consumer", m->name), sm_kv("error", rd_kafka_error_string(error)));
        rd_kafka_error_destroy(error);
    }
    if (m->paused)
        rd_kafka_pause_partitions(m->rk, list);
}

/* What may be committed by now is stored; librdkafka commits it before it lets the partitions go. Partitions that were lost have
 * another owner already. */
static void on_revoked(struct sm_kafka_member *m, rd_kafka_topic_partition_list_t *list, bool cooperative)
{
    rd_kafka_error_t *error = NULL;
    if (!rd_kafka_assignment_lost(m->rk) && !m->draining)
        store_offsets(m);
    for (int i = 0; i < list->cnt; i++)
        partition_remove(m, list->elems[i].topic, list->elems[i].partition);
    if (cooperative)
        error = rd_kafka_incremental_unassign(m->rk, list);
    else
        rd_kafka_assign(m->rk, NULL);
    if (error)
        rd_kafka_error_destroy(error);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct sm_kafka_member *m = opaque;
    bool cooperative = strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE") == 0;
    bool assigned = what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS, revoked = what == RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS;
    if (assigned) {
        on_assigned(m, list, cooperative);
    } else if (revoked) {
        on_revoked(m, list, cooperative);
    } else {
        partitions_remove_all(m);
        rd_kafka_assign(rk, NULL);
    }
    add(&m->options.counters->rebalances, 1);
    if (list->cnt || !(assigned || revoked))
        sm_log(SM_LOG_INFO, assigned ? "kafka_assigned" : revoked ? "kafka_revoked" : "kafka_rebalance_failed",
               sm_kv("consumer", m->name), sm_kv("worker", m->options.worker_index), sm_kv("partitions", list->cnt),
               sm_kv("now", m->partition_count));
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t rc, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk, (void)list;
    struct sm_kafka_member *m = opaque;
    if (rc == RD_KAFKA_RESP_ERR_NO_ERROR || rc == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return;
    add(&m->options.counters->commit_failures, 1);
    sm_log(SM_LOG_WARN, "kafka_commit_failed", sm_kv("consumer", m->name), sm_kv("error", rd_kafka_err2str(rc)));
}

static void on_error(rd_kafka_t *rk, int rc, const char *reason, void *opaque)
{
    struct sm_kafka_member *m = opaque;
    char fatal[256];
    if (rc == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(rk, fatal, sizeof fatal);
        sm_log(SM_LOG_ERROR, "kafka_failed", sm_kv("consumer", m->name), sm_kv("error", (const char *)fatal));
    } else if (rc == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        if (!m->unreachable)
            sm_log(SM_LOG_WARN, "kafka_unreachable", sm_kv("consumer", m->name), sm_kv("error", reason));
        m->unreachable = true;
    } else if (rc == RD_KAFKA_RESP_ERR__AUTHENTICATION || rc == RD_KAFKA_RESP_ERR__SSL) {
        sm_log(SM_LOG_ERROR, "kafka_refused", sm_kv("consumer", m->name), sm_kv("error", reason));
    }
}

/* Any of librdkafka's threads. It repeats what on_error says once, so most of it is for debugging. */
static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)level;
    sm_log(SM_LOG_DEBUG, "librdkafka", sm_kv("client", rd_kafka_name(rk)), sm_kv("about", facility), sm_kv("text", text));
}

void sm_kafka_member_callbacks(rd_kafka_conf_t *conf)
{
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
}

/* ---- life ---- */

static bool open_letters(struct sm_kafka_member *m, struct sm_err *err)
{
    const struct sm_kafka_member_options *o = &m->options;
    if (!o->letters_conf)
        return true;
    rd_kafka_conf_set_log_cb(o->letters_conf, on_log);
    struct sm_kafka_letters_options letters = {
        .consumer = m->name,
        .topic = o->consumer->dead_letter,
        .conf = o->letters_conf,
        .sent = &o->counters->letters_sent,
        .failed = &o->counters->letters_failed,
        .arrived = on_letter_arrived,
        .ctx = m,
    };
    m->letters = sm_kafka_letters_new(&letters, err);
    return m->letters != NULL;
}

static bool subscribe(struct sm_kafka_member *m, struct sm_err *err)
{
    const struct sm_kafka_options *c = m->options.consumer;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->topic_count);
    for (size_t i = 0; i < c->topic_count; i++)
        rd_kafka_topic_partition_list_add(list, c->topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t rc = rd_kafka_subscribe(m->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (rc)
        sm_err_set(err, SM_E_INVALID, "kafka %s: topics: %s", m->name, rd_kafka_err2str(rc));
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static bool open_consumer(struct sm_kafka_member *m, struct sm_err *err)
{
    char why[256];
    rd_kafka_conf_set_opaque(m->options.conf, m);
    m->rk = rd_kafka_new(RD_KAFKA_CONSUMER, m->options.conf, why, sizeof why);
    if (!m->rk) {
        rd_kafka_conf_destroy(m->options.conf);
        if (m->options.letters_conf)
            rd_kafka_conf_destroy(m->options.letters_conf);
        sm_err_set(err, SM_E_INVALID, "kafka %s: %.200s", m->name, why);
        return false;
    }
    rd_kafka_poll_set_consumer(m->rk);
    m->queue = rd_kafka_queue_get_consumer(m->rk);
    rd_kafka_queue_cb_event_enable(m->queue, on_queue, m);
    return true;
}

enum sm_rc sm_kafka_member_open(const struct sm_kafka_member_options *options, struct sm_kafka_member **member, struct sm_err *err)
{
    struct sm_kafka_member *m = *member = sm_xcalloc(1, sizeof *m);
    m->options = *options;
    m->name = options->consumer->name;
    m->wake.fn = on_wake;
    pthread_mutex_init(&m->lags_mutex, NULL);
    if (!open_consumer(m, err) || !open_letters(m, err) || !subscribe(m, err))
        return err->rc;
    m->timer = sm_loop_timer_new(sm_worker_loop(options->worker), SM_TICK_NS, on_tick, m);
    return SM_OK;
}

void sm_kafka_member_tell(struct sm_kafka_member *m, enum sm_kafka_order order)
{
    atomic_store_explicit(&m->order, order, memory_order_release);
}

bool sm_kafka_member_drained(const struct sm_kafka_member *m)
{
    return atomic_load_explicit(&m->drained, memory_order_acquire);
}

bool sm_kafka_member_left(const struct sm_kafka_member *m)
{
    return atomic_load_explicit(&m->left, memory_order_acquire);
}

uint64_t sm_kafka_member_lags(struct sm_kafka_member *m, void (*fn)(void *ctx, const struct sm_kafka_lag *lag), void *ctx)
{
    pthread_mutex_lock(&m->lags_mutex);
    for (unsigned i = 0; i < m->lag_count; i++)
        fn(ctx, &m->lags[i]);
    uint64_t sum = m->lag_sum;
    pthread_mutex_unlock(&m->lags_mutex);
    return sum;
}

void sm_kafka_member_close(struct sm_kafka_member *m)
{
    sm_loop_timer_free(m->timer);
    m->timer = NULL;
    if (!m->rk)
        return;
    rd_kafka_queue_cb_event_enable(m->queue, NULL, NULL);
    partitions_remove_all(m);
    rd_kafka_queue_destroy(m->queue);
    rd_kafka_destroy_flags(m->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    m->rk = NULL;
    sm_kafka_letters_free(m->letters);
    m->letters = NULL;
}

void sm_kafka_member_free(struct sm_kafka_member *m)
{
    SM_ASSERT(m->held_count == 0);
    pthread_mutex_destroy(&m->lags_mutex);
    free(m->held);
    free(m->partitions);
    free(m);
}
