/* Making consumers from the configuration: properties of librdkafka from keys, files and the user's own. */
#include "app/kafka_config.h"

#include <errno.h>
#include <stdlib.h>

enum { PROPERTIES_MAX = 16, PASSWORD_BYTES_MAX = 4096 };
enum { BUDGET_PART = 8 }; /* what is fetched ahead by all members together is this part of the memory budget */
#define FETCH_BYTES_MAX (16 * SM_MIB)

/* One consumer's properties; their texts are its own where they are not the configuration's. */
struct consumer {
    struct sm_kafka_property *properties;
    size_t count;
    char *brokers;
    struct sm_secret password;
};

struct sm_kafka_set {
    struct sm_kafka_list list;
    struct consumer *consumers;
};

/* ---- checks ---- */

static void validate_options(const struct sm_config_kafka *k, size_t i, struct sm_config_report *report)
{
    struct sm_err err;
    for (size_t n = 0; n < k->options.n; n++) {
        const struct sm_config_header *option = &k->options.items[n];
        struct sm_kafka_property p = {option->name, sm_secret_reveal(&option->value).ptr};
        if (sm_kafka_property_is_ours(p.name))
            sm_config_report_add(report, &k->pos, "kafka[%zu].options: \"%s\" cannot be set here", i, p.name);
        else if (sm_kafka_property_check(&p, &err) != SM_OK)
            sm_config_report_add(report, &k->pos, "kafka[%zu].options: %s", i, err.text);
    }
}

static void validate_security(const struct sm_config_kafka *k, size_t i, struct sm_config_report *report)
{
    bool has_login = k->sasl.username || k->sasl.password_file;
    if (!k->tls.enabled && (k->tls.ca || k->tls.cert || k->tls.key || k->tls.insecure))
        sm_config_report_add(report, &k->pos, "kafka[%zu].tls: has a meaning only with enabled: true", i);
    if (!k->tls.cert != !k->tls.key)
        sm_config_report_add(report, &k->pos, "kafka[%zu].tls: cert and key belong together", i);
    if (k->tls.insecure && k->tls.ca)
        sm_config_report_add(report, &k->pos, "kafka[%zu].tls: insecure contradicts ca", i);
    if (k->sasl.mechanism == SM_CONFIG_SASL_NONE && has_login)
        sm_config_report_add(report, &k->pos, "kafka[%zu].sasl: username and password_file need a mechanism", i);
    if (k->sasl.mechanism != SM_CONFIG_SASL_NONE && (!k->sasl.username || !k->sasl.password_file))
        sm_config_report_add(report, &k->pos, "kafka[%zu].sasl: needs username and password_file", i);
}

void sm_kafka_config_validate(const struct sm_config_kafkas *consumers, struct sm_config_report *report)
{
    for (size_t i = 0; i < consumers->n; i++) {
        const struct sm_config_kafka *k = &consumers->items[i];
        if (!k->brokers.n || !k->topics.n)
            sm_config_report_add(report, &k->pos, "kafka[%zu]: needs a broker and a topic", i);
        for (size_t j = 0; j < i; j++) {
            if (k->name && consumers->items[j].name && strcmp(k->name, consumers->items[j].name) == 0)
                sm_config_report_add(report, &k->pos, "kafka[%zu]: the name \"%s\" is taken", i, k->name);
        }
        validate_security(k, i, report);
        validate_options(k, i, report);
    }
}

/* ---- properties ---- */

static void put(struct consumer *c, const char *name, const char *value)
{
    if (value)
        c->properties[c->count++] = (struct sm_kafka_property){name, value};
}

static char *join(const struct sm_config_strings *strings)
{
    struct sm_buf b = {0};
    for (size_t i = 0; i < strings->n; i++) {
        sm_buf_puts(&b, i ? "," : "");
        sm_buf_puts(&b, strings->items[i]);
    }
    char *joined = sm_xstrndup((const char *)b.data, b.size);
    sm_buf_fini(&b);
    return joined;
}

static enum sm_rc read_password(const char *path, struct sm_secret *password, struct sm_err *err)
{
    char text[PASSWORD_BYTES_MAX];
    FILE *f = fopen(path, "re");
    if (!f)
        return sm_err_set(err, SM_E_IO, "%.150s: %s", path, strerror(errno));
    size_t n = fread(text, 1, sizeof text, f);
    bool failed = ferror(f) || n == sizeof text;
    fclose(f);
    if (!failed) {
        while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        sm_secret_set(password, sm_str(text, n));
    }
    explicit_bzero(text, sizeof text);
    return failed ? sm_err_set(err, SM_E_IO, "%.150s: cannot be read, or is too long", path) : SM_OK;
}

static enum sm_rc put_security(struct consumer *c, const struct sm_config_kafka *k, struct sm_err *err)
{
    static const char *const mechanisms[] = {NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    bool sasl = k->sasl.mechanism != SM_CONFIG_SASL_NONE;
    enum sm_rc rc = SM_OK;
    put(c, "security.protocol", sasl ? (k->tls.enabled ? "sasl_ssl" : "sasl_plaintext") : (k->tls.enabled ? "ssl" : "plaintext"));
    put(c, "ssl.ca.location", k->tls.ca);
    put(c, "ssl.certificate.location", k->tls.cert);
    put(c, "ssl.key.location", k->tls.key);
    put(c, "enable.ssl.certificate.verification", k->tls.insecure ? "false" : NULL);
    put(c, "sasl.mechanisms", mechanisms[k->sasl.mechanism]);
    if (!sasl)
        return rc;
    put(c, "sasl.username", k->sasl.username);
    rc = read_password(k->sasl.password_file, &c->password, err);
    if (rc == SM_OK)
        put(c, "sasl.password", sm_secret_reveal(&c->password).ptr);
    return rc;
}

static enum sm_rc put_all(struct consumer *c, const struct sm_config_kafka *k, struct sm_err *err)
{
    c->properties = sm_xcalloc(PROPERTIES_MAX + k->options.n, sizeof *c->properties);
    c->brokers = join(&k->brokers);
    put(c, "bootstrap.servers", c->brokers);
    enum sm_rc rc = put_security(c, k, err);
    for (size_t i = 0; i < k->options.n && rc == SM_OK; i++)
        put(c, k->options.items[i].name, sm_secret_reveal(&k->options.items[i].value).ptr);
    return rc;
}

/* ---- life ---- */

static const struct sm_codec *const codecs[] = {
    [SM_CONFIG_KAFKA_AUTO] = &sm_codec_any,
    [SM_CONFIG_KAFKA_OTLP_PROTO] = &sm_codec_otlp_proto,
    [SM_CONFIG_KAFKA_OTLP_JSON] = &sm_codec_otlp_json,
    [SM_CONFIG_KAFKA_ZIPKIN_JSON] = &sm_codec_zipkin_any, /* of either version */
    [SM_CONFIG_KAFKA_ZIPKIN_PROTO] = &sm_codec_zipkin_proto,
    [SM_CONFIG_KAFKA_ZIPKIN_THRIFT] = &sm_codec_zipkin_v1_thrift,
    [SM_CONFIG_KAFKA_JAEGER_PROTO] = &sm_codec_jaeger_span,
    [SM_CONFIG_KAFKA_JAEGER_JSON] = &sm_codec_jaeger_json,
    [SM_CONFIG_KAFKA_MSGPACK] = &sm_codec_msgpack,
};

static uint64_t written(void *store)
{
    return sm_store_written(store);
}

static uint64_t durable(void *store)
{
    return sm_store_durable(store);
}

static uint64_t fetch_bytes_max(const struct sm_engine *e)
{
    uint64_t members = 0;
    for (size_t i = 0; i < e->config->kafka.n; i++) {
        uint32_t most = e->config->kafka.items[i].members_max;
        members += most ? SM_MIN(most, e->workers) : e->workers;
    }
    return SM_MIN(e->budget_bytes / BUDGET_PART / SM_MAX(members, (uint64_t)1), FETCH_BYTES_MAX);
}

static enum sm_rc open_consumer(struct sm_kafka_set *set, const struct sm_config_kafka *k, const struct sm_store *store,
                                const struct sm_engine *engine, struct sm_err *err)
{
    struct consumer *c = &set->consumers[set->list.count];
    struct sm_err why = {.rc = SM_OK};
    enum sm_rc rc = put_all(c, k, &why);
    struct sm_kafka_options o = {
        .name = k->name,
        .topics = (const char *const *)k->topics.items,
        .topic_count = k->topics.n,
        .group = k->group,
        .earliest = k->initial_offset == SM_CONFIG_KAFKA_EARLIEST,
        .codec = codecs[k->encoding],
        .members = k->members_max,
        .first_worker = (unsigned)set->list.count,
        .message_bytes_max = k->message_bytes_max,
        .fetch_bytes_max = fetch_bytes_max(engine),
        .dead_letter = k->dead_letter,
        .properties = c->properties,
        .property_count = c->count,
    };
    if (store)
        o.durable = (struct sm_durable){written, durable, (void *)(uintptr_t)store};
    set->list.items[set->list.count++] = sm_kafka_new(&o);
    if (rc != SM_OK)
        return sm_err_set(err, rc, "kafka %s: %.200s", k->name, why.text);
    return sm_kafka_open(set->list.items[set->list.count - 1], engine->pipeline, err);
}

struct sm_kafka_set *sm_kafka_set_open(const struct sm_config *c, const struct sm_store *store, const struct sm_engine *engine,
                                       struct sm_err *err)
{
    struct sm_kafka_set *set = sm_xcalloc(1, sizeof *set);
    enum sm_rc rc = SM_OK;
    set->consumers = sm_xcalloc(SM_MAX(c->kafka.n, (size_t)1), sizeof *set->consumers);
    set->list.items = sm_xcalloc(SM_MAX(c->kafka.n, (size_t)1), sizeof *set->list.items);
    for (size_t i = 0; i < c->kafka.n && rc == SM_OK; i++)
        rc = open_consumer(set, &c->kafka.items[i], store, engine, err);
    if (rc == SM_OK)
        return set;
    sm_kafka_set_close(set);
    sm_kafka_set_free(set);
    return NULL;
}

void sm_kafka_set_drain(struct sm_kafka_set *set, int64_t timeout_ns)
{
    for (size_t i = 0; i < set->list.count; i++)
        sm_kafka_drain(set->list.items[i], timeout_ns);
}

void sm_kafka_set_finish(struct sm_kafka_set *set, bool all_delivered, int64_t timeout_ns)
{
    for (size_t i = 0; i < set->list.count; i++)
        sm_kafka_finish(set->list.items[i], all_delivered, timeout_ns);
}

void sm_kafka_set_close(struct sm_kafka_set *set)
{
    for (size_t i = 0; set && i < set->list.count; i++)
        sm_kafka_close(set->list.items[i]);
}

void sm_kafka_set_free(struct sm_kafka_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->list.count; i++) {
        sm_kafka_free(set->list.items[i]);
        sm_secret_fini(&set->consumers[i].password);
        free(set->consumers[i].brokers);
        free(set->consumers[i].properties);
    }
    free(set->list.items);
    free(set->consumers);
    free(set);
}

struct sm_kafka_list *sm_kafka_set_list(struct sm_kafka_set *set)
{
    return &set->list;
}
