/* Words for spans. Strings never need escaping in JSON. */
#include "bench/attrs.h"

#include "bench/random.h"

const struct bench_scope bench_attrs_scopes[BENCH_SCOPES] = {
    {"io.opentelemetry.http-and-rpc", "2.19.0-alpha"},
    {"io.opentelemetry.clients", "2.19.0-alpha"},
    {"shop.business", "1.42.0"},
};

uint32_t bench_attrs_scope_of(const struct bench_span *span)
{
    switch (span->type) {
    case BENCH_SPAN_INTERNAL:
        return 2;
    case BENCH_SPAN_DB:
    case BENCH_SPAN_PRODUCER:
    case BENCH_SPAN_CONSUMER:
        return 1;
    default:
        return 0;
    }
}

static void add_string(struct bench_attrs *a, const char *key, const char *value)
{
    SM_ASSERT(a->n < BENCH_ATTRS_MAX);
    a->at[a->n++] = (struct bench_attr){.key = key, .type = BENCH_ATTR_STRING, .string = value};
}

static void add_format(struct bench_attrs *a, const char *key, const char *format, ...) SM_PRINTF(3, 4);
static void add_format(struct bench_attrs *a, const char *key, const char *format, ...)
{
    char *at = a->text + a->text_n;
    size_t room = sizeof a->text - a->text_n;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(at, room, format, args);
    va_end(args);
    SM_ASSERT(n >= 0 && (size_t)n < room);
    a->text_n += (size_t)n + 1;
    add_string(a, key, at);
}

static void add_int(struct bench_attrs *a, const char *key, int64_t value)
{
    SM_ASSERT(a->n < BENCH_ATTRS_MAX);
    a->at[a->n++] = (struct bench_attr){.key = key, .type = BENCH_ATTR_INT, .integer = value};
}

static void add_bool(struct bench_attrs *a, const char *key, bool value)
{
    SM_ASSERT(a->n < BENCH_ATTRS_MAX);
    a->at[a->n++] = (struct bench_attr){.key = key, .type = BENCH_ATTR_BOOL, .integer = value};
}

static void add_double(struct bench_attrs *a, const char *key, double value)
{
    SM_ASSERT(a->n < BENCH_ATTRS_MAX);
    a->at[a->n++] = (struct bench_attr){.key = key, .type = BENCH_ATTR_DOUBLE, .real = value};
}

static void add_uuid(struct bench_attrs *a, const char *key, struct bench_random *r)
{
    uint64_t hi = bench_random_u64(r), lo = bench_random_u64(r);
    add_format(a, key, "%08x-%04x-4%03x-a%03x-%012llx", (uint32_t)(hi >> 32), (uint32_t)(hi >> 16) & 0xffff,
               (uint32_t)hi & 0xfff, (uint32_t)(lo >> 52), (unsigned long long)(lo & 0xffffffffffff));
}

static void add_address(struct bench_attrs *a, const char *key, uint32_t service, struct bench_random *r)
{
    add_format(a, key, "10.%u.%u.%u", 16 + service / 8, service,
               2 + bench_random_below(r, BENCH_TOPOLOGY_INSTANCES * 8));
}

static void add_thread(struct bench_attrs *a, struct bench_random *r)
{
    uint32_t thread = bench_random_below(r, 64);
    add_int(a, "thread.id", 100 + thread);
    add_format(a, "thread.name", "worker-pool-%u", thread);
}

static int status_code(const struct bench_span *s, struct bench_random *r)
{
    static const uint16_t good[] = {200, 200, 200, 200, 200, 201, 204, 302};
    static const uint16_t bad[] = {500, 500, 502, 503, 504};
    if (s->error)
        return bad[bench_random_below(r, SM_ARRAY_LEN(bad))];
    return bench_random_chance(r, 0.03) ? 404 : good[bench_random_below(r, SM_ARRAY_LEN(good))];
}

static const char *agent(struct bench_random *r)
{
    static const char *const agents[] = {
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
        "ShopApp/7.12.1 (iPhone; iOS 19.1; Scale/3.00)",
        "okhttp/5.1.0",
        "axios/1.12.2",
        "Apache-HttpClient/5.5 (Java/21.0.8)",
    };
    return agents[bench_random_below(r, SM_ARRAY_LEN(agents))];
}

static void describe_http_server(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    const struct bench_service *service = &bench_topology_services[s->service];
    const char *method = bench_topology_methods[s->operation];
    struct bench_attrs *a = &w->attrs;
    uint32_t id = bench_random_below(r, 1000000);
    bool root = s->parent == 0;
    w->kind = BENCH_KIND_SERVER;
    snprintf(w->name, sizeof w->name, "%s /api/v1/%ss/{id}", method, service->noun);
    add_string(a, "http.request.method", method);
    add_format(a, "http.route", "/api/v1/%ss/{id}", service->noun);
    add_format(a, "url.path", "/api/v1/%ss/%u", service->noun, id);
    add_string(a, "url.scheme", root ? "https" : "http");
    add_int(a, "http.response.status_code", status_code(s, r));
    add_string(a, "server.address", service->name);
    add_int(a, "server.port", 8080);
    add_address(a, "network.peer.address", s->peer, r);
    add_string(a, "network.protocol.version", "1.1");
    if (bench_random_chance(r, 0.35))
        add_string(a, "user_agent.original", root ? agent(r) : "okhttp/5.1.0");
    add_thread(a, r);
    if (root) {
        add_format(a, "client.address", "203.0.113.%u", bench_random_below(r, 256));
        add_uuid(a, "shop.session.id", r);
    }
}

static void describe_http_client(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    const struct bench_service *peer = &bench_topology_services[s->peer];
    const char *method = bench_topology_methods[s->operation];
    struct bench_attrs *a = &w->attrs;
    w->kind = BENCH_KIND_CLIENT;
    snprintf(w->name, sizeof w->name, "%s", method);
    add_string(a, "http.request.method", method);
    add_format(a, "url.full", "http://%s.shop.svc.cluster.local:8080/api/v1/%ss/%u", peer->name, peer->noun,
               bench_random_below(r, 1000000));
    add_format(a, "server.address", "%s.shop.svc.cluster.local", peer->name);
    add_int(a, "server.port", 8080);
    add_int(a, "http.response.status_code", status_code(s, r));
    add_address(a, "network.peer.address", s->peer, r);
    add_int(a, "network.peer.port", 8080);
    add_string(a, "network.protocol.version", "1.1");
    add_thread(a, r);
}

static void describe_rpc(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    bool client = s->type == BENCH_SPAN_RPC_CLIENT;
    const struct bench_service *callee = &bench_topology_services[client ? s->peer : s->service];
    const char *verb = bench_topology_verbs[s->operation];
    struct bench_attrs *a = &w->attrs;
    w->kind = client ? BENCH_KIND_CLIENT : BENCH_KIND_SERVER;
    snprintf(w->name, sizeof w->name, "shop.%s.v1.%sService/%s", callee->noun, callee->noun, verb);
    add_string(a, "rpc.system", "grpc");
    add_format(a, "rpc.service", "shop.%s.v1.%sService", callee->noun, callee->noun);
    add_string(a, "rpc.method", verb);
    add_int(a, "rpc.grpc.status_code", s->error ? 13 : 0);
    add_format(a, "server.address", client ? "%s.shop.svc.cluster.local" : "%s", callee->name);
    add_int(a, "server.port", 9090);
    add_address(a, "network.peer.address", s->peer, r);
    add_int(a, "network.peer.port", 32768 + bench_random_below(r, 28000));
    if (client)
        add_string(a, "network.type", "ipv4");
    add_thread(a, r);
    if (!client)
        add_uuid(a, "shop.request.id", r);
}

static void describe_db(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    static const char *const queries[BENCH_TOPOLOGY_OPERATIONS] = {
        "SELECT id, state, owner_id FROM %ss WHERE id = ? AND deleted = 0",
        "SELECT id, state FROM %ss WHERE owner_id = ? ORDER BY created_at DESC LIMIT 50",
        "INSERT INTO %ss (id, owner_id, state, payload) VALUES (?, ?, ?, ?)",
        "UPDATE %ss SET state = ?, updated_at = now() WHERE id = ? AND version = ?",
        "DELETE FROM %ss WHERE id = ? AND owner_id = ?",
    };
    static const char *const operations[BENCH_TOPOLOGY_OPERATIONS] = {"SELECT", "SELECT", "INSERT", "UPDATE", "DELETE"};
    const struct bench_database *db = &bench_topology_databases[s->peer];
    const char *noun = bench_topology_services[s->service].noun;
    char query[160];
    struct bench_attrs *a = &w->attrs;
    w->kind = BENCH_KIND_CLIENT;
    snprintf(w->name, sizeof w->name, "%s %ss", operations[s->operation], noun);
    snprintf(query, sizeof query, queries[s->operation], noun);
    add_string(a, "db.system.name", db->system);
    add_format(a, "db.namespace", "shop_%s", noun);
    add_string(a, "db.operation.name", operations[s->operation]);
    add_format(a, "db.collection.name", "%ss", noun);
    add_format(a, "db.query.text", "%s", query);
    add_string(a, "server.address", db->host);
    add_int(a, "server.port", db->port);
    add_format(a, "network.peer.address", "10.64.%u.10", s->peer);
    add_thread(a, r);
    if (bench_random_chance(r, 0.5))
        add_int(a, "db.response.returned_rows", bench_random_below(r, 50));
}

static void describe_internal(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    const struct bench_service *service = &bench_topology_services[s->service];
    const char *verb = bench_topology_verbs[s->operation];
    struct bench_attrs *a = &w->attrs;
    w->kind = BENCH_KIND_INTERNAL;
    snprintf(w->name, sizeof w->name, "%sHandler.%s", service->noun, verb);
    add_format(a, "code.function.name", "com.shop.%s.%sHandler.%s", service->noun, service->noun, verb);
    add_format(a, "code.file.path", "src/main/%s/com/shop/%s/Handler.java", service->language, service->noun);
    add_int(a, "code.line.number", 40 + bench_random_below(r, 900));
    add_thread(a, r);
    add_format(a, "shop.tenant.id", "tenant-%04u", bench_random_below(r, 500));
    add_uuid(a, "shop.order.id", r);
    add_bool(a, "shop.cache.hit", bench_random_chance(r, 0.7));
    add_double(a, "shop.order.value", bench_random_below(r, 100000) / 100.0);
    add_string(a, "shop.user.tier", bench_random_chance(r, 0.2) ? "gold" : "standard");
}

static void describe_message(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    bool send = s->type == BENCH_SPAN_PRODUCER;
    const char *noun = bench_topology_services[send ? s->service : s->peer].noun;
    struct bench_attrs *a = &w->attrs;
    w->kind = send ? BENCH_KIND_PRODUCER : BENCH_KIND_CONSUMER;
    snprintf(w->name, sizeof w->name, "%s shop.%s.events", send ? "send" : "process", noun);
    add_string(a, "messaging.system", "kafka");
    add_format(a, "messaging.destination.name", "shop.%s.events", noun);
    add_string(a, "messaging.operation.name", send ? "send" : "process");
    add_string(a, "messaging.operation.type", send ? "send" : "process");
    add_uuid(a, "messaging.message.id", r);
    add_format(a, "messaging.destination.partition.id", "%u", bench_random_below(r, 12));
    add_int(a, "messaging.kafka.offset", bench_random_below(r, 100000000));
    if (bench_random_chance(r, 0.5))
        add_int(a, "messaging.message.body.size", 200 + bench_random_below(r, 4000));
    add_string(a, "server.address", "kafka-0.kafka.shop.svc.cluster.local");
    if (!send)
        add_format(a, "messaging.consumer.group.name", "%s-workers", bench_topology_services[s->service].name);
}

static void describe_event(const struct bench_span *s, struct bench_words *w, struct bench_random *r)
{
    struct bench_event *e = &w->event;
    e->time_ns = s->end_ns - (s->end_ns - s->start_ns) / 4;
    if (s->error) {
        e->name = "exception";
        add_string(&e->attrs, "exception.type", "java.net.SocketTimeoutException");
        add_string(&e->attrs, "exception.message", "Read timed out after 2000 ms");
        add_string(
            &e->attrs, "exception.stacktrace",
            "java.net.SocketTimeoutException: Read timed out after 2000 ms at com.shop.http.Call.read(Call.java:211) "
            "at com.shop.http.Call.execute(Call.java:87) at com.shop.Handler.handle(Handler.java:54)");
    } else if (bench_random_chance(r, 0.06)) {
        e->name = "retry";
        add_int(&e->attrs, "shop.retry.attempt", 1 + bench_random_below(r, 3));
    }
}

void bench_attrs_describe(const struct bench_span *s, struct bench_words *w)
{
    struct bench_random r = {s->seed};
    w->attrs.n = 0;
    w->attrs.text_n = 0;
    w->event.name = NULL;
    w->event.attrs.n = 0;
    w->event.attrs.text_n = 0;
    w->status_message = s->error && bench_random_chance(&r, 0.5) ? "Read timed out after 2000 ms" : "";
    w->remote_service = bench_topology_services[s->peer].name;
    switch ((enum bench_span_type)s->type) {
    case BENCH_SPAN_HTTP_SERVER:
        describe_http_server(s, w, &r);
        break;
    case BENCH_SPAN_HTTP_CLIENT:
        describe_http_client(s, w, &r);
        break;
    case BENCH_SPAN_RPC_SERVER:
    case BENCH_SPAN_RPC_CLIENT:
        describe_rpc(s, w, &r);
        break;
    case BENCH_SPAN_DB:
        describe_db(s, w, &r);
        w->remote_service = bench_topology_databases[s->peer].system;
        break;
    case BENCH_SPAN_INTERNAL:
        describe_internal(s, w, &r);
        break;
    case BENCH_SPAN_PRODUCER:
    case BENCH_SPAN_CONSUMER:
        describe_message(s, w, &r);
        w->remote_service = "kafka";
        break;
    case BENCH_SPAN_TYPES:
        break;
    }
    if (s->type == BENCH_SPAN_INTERNAL || s->parent == 0)
        w->remote_service = NULL;
    bool remote_parent = w->kind == BENCH_KIND_SERVER || w->kind == BENCH_KIND_CONSUMER;
    w->flags = remote_parent ? 0x301 : 0x101;
    describe_event(s, w, &r);
}

void bench_attrs_resource(uint32_t service, uint32_t instance, struct bench_attrs *a)
{
    struct bench_random r = {service * 64 + instance + 1};
    const struct bench_service *s = &bench_topology_services[service];
    a->n = 0;
    a->text_n = 0;
    add_string(a, "service.name", s->name);
    add_string(a, "service.namespace", "shop");
    add_format(a, "service.version", "2.%u.0", service);
    add_uuid(a, "service.instance.id", &r);
    add_string(a, "deployment.environment.name", "production");
    add_string(a, "telemetry.sdk.name", "opentelemetry");
    add_string(a, "telemetry.sdk.language", s->language);
    add_string(a, "telemetry.sdk.version", "1.54.1");
    add_string(a, "k8s.namespace.name", "shop");
    add_format(a, "k8s.deployment.name", "%s", s->name);
    add_format(a, "k8s.pod.name", "%s-7c9f8d6b54-%05x", s->name, (uint32_t)bench_random_u64(&r) & 0xfffff);
    add_format(a, "host.name", "node-%02u.shop.internal", service % 12);
    add_int(a, "process.pid", 1);
}
