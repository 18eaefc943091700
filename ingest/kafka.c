/* A consumer: its configuration for librdkafka, its members, its figures. */
#include "ingest/kafka.h"

#include "base/clock.h"
#include "ingest/kafka_member.h"

#include <stdlib.h>
#include <time.h>

enum { ERROR_BYTES = 256 };
#define WAIT_NS (5 * SM_MS)

struct sm_kafka {
    struct sm_kafka_options options;
    struct sm_kafka_counters counters;
    struct sm_kafka_member **members;
    unsigned member_count;
};

/* ---- properties ---- */

/* What our bookkeeping rests on, and what a user may change with `options`. */
static const struct sm_kafka_property fixed[] = {{"enable.auto.commit", "true"}, {"enable.auto.offset.store", "false"}};
static const struct sm_kafka_property defaults[] = {
    {"client.id", "spanmill"},
    {"partition.assignment.strategy", "cooperative-sticky"},
    {"auto.commit.interval.ms", "1000"},
    {"fetch.wait.max.ms", "100"},
};

bool sm_kafka_property_is_ours(const char *name)
{
    static const char *const keys[] = {"group.id", "auto.offset.reset", "bootstrap.servers", "metadata.broker.list"};
    for (size_t i = 0; i < SM_ARRAY_LEN(fixed); i++) {
        if (strcmp(name, fixed[i].name) == 0)
            return true;
    }
    for (size_t i = 0; i < SM_ARRAY_LEN(keys); i++) {
        if (strcmp(name, keys[i]) == 0)
            return true;
    }
    return false;
}

/* The text of librdkafka repeats the value, which may be a secret. */
static enum sm_rc set(rd_kafka_conf_t *conf, const struct sm_kafka_property *p, struct sm_err *err)
{
    char why[ERROR_BYTES];
    switch (rd_kafka_conf_set(conf, p->name, p->value, why, sizeof why)) {
    case RD_KAFKA_CONF_OK:
        return SM_OK;
    case RD_KAFKA_CONF_UNKNOWN:
        return sm_err_set(err, SM_E_INVALID, "librdkafka knows no property \"%.100s\"", p->name);
    default:
        return sm_err_set(err, SM_E_INVALID, "librdkafka does not take this value of \"%.100s\"", p->name);
    }
}

enum sm_rc sm_kafka_property_check(const struct sm_kafka_property *property, struct sm_err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum sm_rc rc = set(conf, property, err);
    rd_kafka_conf_destroy(conf);
    return rc;
}

static enum sm_rc set_all(rd_kafka_conf_t *conf, const struct sm_kafka_property *p, size_t n, struct sm_err *err)
{
    enum sm_rc rc = SM_OK;
    for (size_t i = 0; i < n && rc == SM_OK; i++)
        rc = set(conf, &p[i], err);
    return rc;
}

/* A static member's name must be its own. */
static enum sm_rc name_instance(rd_kafka_conf_t *conf, unsigned index, unsigned members, struct sm_err *err)
{
    char name[300], own[320];
    size_t size = sizeof name;
    if (members == 1 || rd_kafka_conf_get(conf, "group.instance.id", name, &size) != RD_KAFKA_CONF_OK || !name[0])
        return SM_OK;
    snprintf(own, sizeof own, "%s-%u", name, index);
    return set(conf, &(struct sm_kafka_property){"group.instance.id", own}, err);
}

/* librdkafka would hold 64 MiB for each member, and ask for 50 MiB at once. */
static enum sm_rc limit_fetching(const struct sm_kafka *k, rd_kafka_conf_t *conf, struct sm_err *err)
{
    char kbytes[24], bytes[24];
    uint64_t most = SM_MIN(SM_MAX(k->options.fetch_bytes_max, SM_MIB), 64 * SM_MIB);
    snprintf(kbytes, sizeof kbytes, "%llu", (unsigned long long)(most / SM_KIB));
    snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)most);
    struct sm_kafka_property limits[] = {{"queued.max.messages.kbytes", kbytes}, {"fetch.max.bytes", bytes}};
    return set_all(conf, limits, SM_ARRAY_LEN(limits), err);
}

static enum sm_rc configure_consumer(const struct sm_kafka *k, rd_kafka_conf_t *conf, unsigned index, unsigned members,
                                     struct sm_err *err)
{
    const struct sm_kafka_options *o = &k->options;
    struct sm_kafka_property own[] = {{"group.id", o->group}, {"auto.offset.reset", o->earliest ? "earliest" : "latest"}};
    enum sm_rc rc = set_all(conf, defaults, SM_ARRAY_LEN(defaults), err);
    if (rc == SM_OK)
        rc = limit_fetching(k, conf, err);
    if (rc == SM_OK)
        rc = set_all(conf, o->properties, o->property_count, err);
    if (rc == SM_OK)
        rc = set_all(conf, own, SM_ARRAY_LEN(own), err);
    if (rc == SM_OK)
        rc = set_all(conf, fixed, SM_ARRAY_LEN(fixed), err);
    if (rc == SM_OK)
        rc = name_instance(conf, index, members, err);
    sm_kafka_member_callbacks(conf);
    return rc;
}

/* ---- life ---- */

struct sm_kafka *sm_kafka_new(const struct sm_kafka_options *options)
{
    struct sm_kafka *k = sm_xcalloc(1, sizeof *k);
    k->options = *options;
    return k;
}

static enum sm_rc open_member(struct sm_kafka *k, struct sm_pipeline *pipeline, unsigned index, unsigned members, struct sm_err *err)
{
    unsigned workers = sm_pipeline_worker_count(pipeline), worker = (k->options.first_worker + index) % workers;
    struct sm_kafka_member_options o = {
        .consumer = &k->options,
        .counters = &k->counters,
        .worker = sm_pipeline_worker(pipeline, worker),
        .worker_index = worker,
        .worker_count = workers,
        .conf = rd_kafka_conf_new(),
        .letters_conf = k->options.dead_letter ? rd_kafka_conf_new() : NULL,
    };
    enum sm_rc rc = configure_consumer(k, o.conf, index, members, err);
    if (rc == SM_OK && o.letters_conf)
        rc = set_all(o.letters_conf, k->options.properties, k->options.property_count, err);
    if (rc == SM_OK)
        return sm_kafka_member_open(&o, &k->members[k->member_count++], err);
    rd_kafka_conf_destroy(o.conf);
    if (o.letters_conf)
        rd_kafka_conf_destroy(o.letters_conf);
    return rc;
}

enum sm_rc sm_kafka_open(struct sm_kafka *k, struct sm_pipeline *pipeline, struct sm_err *err)
{
    unsigned workers = sm_pipeline_worker_count(pipeline);
    unsigned members = k->options.members ? SM_MIN(k->options.members, workers) : workers;
    enum sm_rc rc = SM_OK;
    k->members = sm_xcalloc(members, sizeof *k->members);
    for (unsigned i = 0; i < members && rc == SM_OK; i++)
        rc = open_member(k, pipeline, i, members, err);
    return rc;
}

/* Gives all members the order and waits until each has carried it out. */
static void tell_and_wait(struct sm_kafka *k, enum sm_kafka_order order, bool (*done)(const struct sm_kafka_member *m), int64_t timeout_ns)
{
    int64_t give_up_ns = sm_clock_mono_ns() + timeout_ns;
    for (unsigned i = 0; i < k->member_count; i++)
        sm_kafka_member_tell(k->members[i], order);
    for (unsigned i = 0; i < k->member_count;) {
        if (done(k->members[i]))
            i++;
        else if (sm_clock_mono_ns() < give_up_ns)
            nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
        else
            return;
    }
}

void sm_kafka_drain(struct sm_kafka *k, int64_t timeout_ns)
{
    tell_and_wait(k, SM_KAFKA_DRAIN, sm_kafka_member_drained, timeout_ns);
}

void sm_kafka_finish(struct sm_kafka *k, bool all_delivered, int64_t timeout_ns)
{
    tell_and_wait(k, all_delivered ? SM_KAFKA_SETTLE : SM_KAFKA_LEAVE, sm_kafka_member_left, timeout_ns);
}

void sm_kafka_close(struct sm_kafka *k)
{
    for (unsigned i = 0; i < k->member_count; i++)
        sm_kafka_member_close(k->members[i]);
}

void sm_kafka_free(struct sm_kafka *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < k->member_count; i++)
        sm_kafka_member_free(k->members[i]);
    free(k->members);
    free(k);
}

/* ---- figures ---- */

static void sample(struct sm_prom *p, const struct sm_kafka *k, const char *label, const char *value, const _Atomic uint64_t *figure)
{
    struct sm_buf labels = {0};
    sm_prom_label(&labels, SM_STR("consumer"), sm_str_c(k->options.name));
    if (label)
        sm_prom_label(&labels, sm_str_c(label), sm_str_c(value));
    sm_prom_uint(p, sm_buf_str(&labels), atomic_load_explicit(figure, memory_order_relaxed));
    sm_buf_fini(&labels);
}

#define COUNTER(member) offsetof(struct sm_kafka_counters, member)

static const struct figure {
    const char *name;
    enum sm_prom_type type;
    const char *label, *value; /* NULL: none */
    size_t counter;
    const char *help;
} figures[] = {
    {"spanmill_kafka_messages_total", SM_PROM_COUNTER, NULL, NULL, COUNTER(messages), "messages that were taken or passed"},
    {"spanmill_kafka_bytes_total", SM_PROM_COUNTER, NULL, NULL, COUNTER(bytes), "bytes of their values"},
    {"spanmill_kafka_messages_passed_total", SM_PROM_COUNTER, "reason", "undecodable", COUNTER(undecodable),
     "messages that could not be taken"},
    {"spanmill_kafka_messages_passed_total", SM_PROM_COUNTER, "reason", "too_large", COUNTER(too_large),
     "messages that could not be taken"},
    {"spanmill_kafka_dead_letters_total", SM_PROM_COUNTER, "outcome", "sent", COUNTER(letters_sent),
     "copies for the dead-letter topic"},
    {"spanmill_kafka_dead_letters_total", SM_PROM_COUNTER, "outcome", "lost", COUNTER(letters_failed),
     "copies for the dead-letter topic"},
    {"spanmill_kafka_rebalances_total", SM_PROM_COUNTER, NULL, NULL, COUNTER(rebalances),
     "times that partitions were assigned or revoked, of all members"},
    {"spanmill_kafka_commit_failures_total", SM_PROM_COUNTER, NULL, NULL, COUNTER(commit_failures),
     "commits of offsets that failed"},
    {"spanmill_kafka_errors_total", SM_PROM_COUNTER, NULL, NULL, COUNTER(errors), "errors that came in place of messages"},
    {"spanmill_kafka_partitions", SM_PROM_GAUGE, NULL, NULL, COUNTER(partitions), "partitions that this process reads"},
    {"spanmill_kafka_members_paused", SM_PROM_GAUGE, NULL, NULL, COUNTER(members_paused),
     "members of the group that wait until there is room again"},
};

struct lag_writer {
    struct sm_prom *prom;
    const struct sm_kafka *kafka;
};

static void write_lag(void *ctx, const struct sm_kafka_lag *lag)
{
    const struct lag_writer *w = ctx;
    struct sm_buf labels = {0};
    char partition[16];
    snprintf(partition, sizeof partition, "%d", lag->partition);
    sm_prom_label(&labels, SM_STR("consumer"), sm_str_c(w->kafka->options.name));
    sm_prom_label(&labels, SM_STR("topic"), sm_str_c(lag->topic));
    sm_prom_label(&labels, SM_STR("partition"), sm_str_c(partition));
    sm_prom_uint(w->prom, sm_buf_str(&labels), lag->messages);
    sm_buf_fini(&labels);
}

static void skip_lag(void *ctx, const struct sm_kafka_lag *lag)
{
    (void)ctx, (void)lag;
}

static void write_lags(const struct sm_kafka_list *list, struct sm_prom *p)
{
    sm_prom_family(p, "spanmill_kafka_lag", SM_PROM_GAUGE, "messages not read yet, in all partitions of this process");
    for (size_t i = 0; i < list->count; i++) {
        _Atomic uint64_t sum = 0;
        for (unsigned m = 0; m < list->items[i]->member_count; m++)
            sum += sm_kafka_member_lags(list->items[i]->members[m], skip_lag, NULL);
        sample(p, list->items[i], NULL, NULL, &sum);
    }
    sm_prom_family(p, "spanmill_kafka_partition_lag", SM_PROM_GAUGE,
                   "messages not read yet, by topic and partition, of at most 100 partitions a worker");
    for (size_t i = 0; i < list->count; i++) {
        struct lag_writer w = {p, list->items[i]};
        for (unsigned m = 0; m < list->items[i]->member_count; m++)
            (void)sm_kafka_member_lags(list->items[i]->members[m], write_lag, &w);
    }
}

void sm_kafka_collect(void *ctx, struct sm_prom *p)
{
    const struct sm_kafka_list *list = ctx;
    if (list->count == 0)
        return;
    for (size_t f = 0; f < SM_ARRAY_LEN(figures); f++) {
        sm_prom_family(p, figures[f].name, figures[f].type, figures[f].help);
        for (size_t i = 0; i < list->count; i++)
            sample(p, list->items[i], figures[f].label, figures[f].value,
                   (const _Atomic uint64_t *)((const char *)&list->items[i]->counters + figures[f].counter));
    }
    write_lags(list, p);
}
