/* Walking the shop. Times count from the start of the trace until the end is known. */
#include "app/demo_trace.h"

#include "base/hash.h"

#include <math.h>

struct walk {
    struct sm_demo_trace *t;
    struct sm_demo_random *random;
};

/* ---- drawing ---- */

static uint64_t draw(struct sm_demo_random *r)
{
    return sm_hash_fixed64(r->state += UINT64_C(0x9e3779b97f4a7c15), 0);
}

static uint64_t draw_id(struct sm_demo_random *r)
{
    uint64_t id = draw(r);
    return id ? id : 1;
}

/* In [0, 1). */
static double draw_unit(struct sm_demo_random *r)
{
    return (double)(draw(r) >> 11) * 0x1p-53;
}

static unsigned draw_below(struct sm_demo_random *r, unsigned n)
{
    return (unsigned)(draw_unit(r) * n);
}

static bool draw_chance(struct sm_demo_random *r, double chance)
{
    return draw_unit(r) < chance;
}

/* Log-normal, within a factor of twenty of the median. */
static int64_t draw_ns(struct sm_demo_random *r, double median_ms, double spread)
{
    double radius = sqrt(-2 * log(1 - draw_unit(r)));
    double normal = radius * cos(2 * M_PI * draw_unit(r));
    return (int64_t)(median_ms * 1e6 * fmin(fmax(exp(spread * normal), 0.05), 20));
}

/* ---- spans ---- */

static const char *text(struct sm_demo_trace *t, const char *format, ...) SM_PRINTF(2, 3);
static const char *text(struct sm_demo_trace *t, const char *format, ...)
{
    char *at = t->text + t->text_size;
    va_list list;
    va_start(list, format);
    int n = vsnprintf(at, sizeof t->text - t->text_size, format, list);
    va_end(list);
    SM_ASSERT(n >= 0 && (size_t)n < sizeof t->text - t->text_size);
    t->text_size += (size_t)n + 1;
    return at;
}

static struct sm_demo_span *add_span(struct walk *w, enum sm_demo_service_id service, unsigned instance,
                                     enum sm_kind kind, const char *name, uint64_t parent_id, int64_t start_ns)
{
    SM_ASSERT(w->t->count < SM_DEMO_SPANS_MAX);
    struct sm_demo_span *s = &w->t->spans[w->t->count++];
    *s = (struct sm_demo_span){
        .service = service,
        .instance = instance,
        .id = draw_id(w->random),
        .parent_id = parent_id,
        .kind = kind,
        .name = name,
        .start_ns = start_ns,
    };
    return s;
}

static void attribute(struct sm_demo_span *s, const char *key, const char *value)
{
    SM_ASSERT(s->attribute_count < SM_DEMO_ATTRIBUTES_MAX);
    s->attributes[s->attribute_count++] = (struct sm_demo_attribute){.key = key, .text = value};
}

static void number(struct sm_demo_span *s, const char *key, int64_t value)
{
    SM_ASSERT(s->attribute_count < SM_DEMO_ATTRIBUTES_MAX);
    s->attributes[s->attribute_count++] = (struct sm_demo_attribute){.key = key, .number = value};
}

/* The route with a product in place of {id}. */
static const char *path_of(struct walk *w, const char *route)
{
    const char *brace = strchr(route, '{');
    return brace ? text(w->t, "%.*sP%04u", (int)(brace - route), route, draw_below(w->random, 500)) : route;
}

static void describe_user(struct walk *w, struct sm_demo_span *s)
{
    static const char *const agents[] = {"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                                         "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15",
                                         "ShopApp/7.12.1 (Android 16)"};
    attribute(s, "client.address", text(w->t, "203.0.113.%u", draw_below(w->random, 256)));
    attribute(s, "user_agent.original", agents[draw_below(w->random, SM_ARRAY_LEN(agents))]);
    attribute(s, "enduser.id", text(w->t, "customer-%u", draw_below(w->random, 2000)));
}

/* What a call says on both sides, before it is answered. */
static void describe_call(struct walk *w, struct sm_demo_span *s, const struct sm_demo_operation *o)
{
    const struct sm_demo_service *callee = &sm_demo_services[o->service];
    if (o->protocol == SM_DEMO_GRPC) {
        attribute(s, "rpc.system", "grpc");
        attribute(s, "rpc.service", o->route);
        attribute(s, "rpc.method", o->method);
    } else {
        attribute(s, "http.request.method", o->method);
        if (s->kind == SM_KIND_CLIENT) {
            attribute(s, "url.full", text(w->t, "http://%s:%d%s", callee->name, callee->port, o->route));
        } else {
            attribute(s, "http.route", o->route);
            attribute(s, "url.path", path_of(w, o->route));
            attribute(s, "url.scheme", "http");
        }
    }
    attribute(s, "server.address", callee->name);
    number(s, "server.port", callee->port);
}

static void describe_answer(struct sm_demo_span *s, const struct sm_demo_operation *o, bool failed)
{
    s->failed = failed;
    if (o->protocol == SM_DEMO_GRPC)
        number(s, "rpc.grpc.status_code", failed ? 13 : 0);
    else
        number(s, "http.response.status_code", failed ? 500 : 200);
    if (failed)
        attribute(s, "error.type", s->error ? s->error : o->protocol == SM_DEMO_GRPC ? "13" : "500");
}

static void describe_message(struct walk *w, struct sm_demo_span *s, const struct sm_demo_operation *o,
                             unsigned partition)
{
    bool sends = s->kind == SM_KIND_PRODUCER;
    attribute(s, "messaging.system", "kafka");
    attribute(s, "messaging.destination.name", o->route);
    attribute(s, "messaging.destination.partition.id", text(w->t, "%u", partition));
    attribute(s, "messaging.operation.name", sends ? "send" : "process");
    attribute(s, "messaging.operation.type", sends ? "send" : "process");
    if (!sends)
        attribute(s, "messaging.consumer.group.name", o->method);
}

static const char *name_of(struct walk *w, const struct sm_demo_operation *o, enum sm_kind kind)
{
    switch (o->protocol) {
    case SM_DEMO_HTTP:
        return kind == SM_KIND_CLIENT ? o->method : text(w->t, "%s %s", o->method, o->route);
    case SM_DEMO_GRPC:
        return text(w->t, "%s/%s", o->route, o->method);
    default:
        return text(w->t, "%s %s", kind == SM_KIND_PRODUCER ? "send" : "process", o->route);
    }
}

/* ---- what happens ---- */

struct outcome {
    int64_t end_ns;
    bool failed;
};

static struct outcome serve(struct walk *w, const struct sm_demo_operation *o, struct sm_demo_span *s);

static unsigned draw_instance(struct walk *w)
{
    return draw_below(w->random, SM_DEMO_INSTANCES);
}

static struct outcome call(struct walk *w, const struct sm_demo_span *caller, const struct sm_demo_operation *o,
                           int64_t now_ns)
{
    struct sm_demo_span *client = add_span(w, caller->service, caller->instance, SM_KIND_CLIENT,
                                           name_of(w, o, SM_KIND_CLIENT), caller->id, now_ns);
    describe_call(w, client, o);
    now_ns += draw_ns(w->random, 0.2, 0.4);
    struct sm_demo_span *server =
        add_span(w, o->service, draw_instance(w), SM_KIND_SERVER, name_of(w, o, SM_KIND_SERVER), client->id, now_ns);
    describe_call(w, server, o);
    struct outcome served = serve(w, o, server);
    describe_answer(client, o, served.failed);
    client->end_ns = served.end_ns + draw_ns(w->random, 0.2, 0.4);
    return (struct outcome){client->end_ns, served.failed};
}

static struct outcome query(struct walk *w, const struct sm_demo_span *caller, const struct sm_demo_query *q,
                            int64_t now_ns)
{
    const char *name = q->collection ? text(w->t, "%s %s", q->operation, q->collection) : q->operation;
    struct sm_demo_span *s = add_span(w, caller->service, caller->instance, SM_KIND_CLIENT, name, caller->id, now_ns);
    attribute(s, "db.system.name", q->system);
    attribute(s, "db.namespace", q->namespace);
    attribute(s, "db.operation.name", q->operation);
    if (q->collection)
        attribute(s, "db.collection.name", q->collection);
    attribute(s, "db.query.text", q->text);
    attribute(s, "server.address", q->host);
    number(s, "server.port", q->port);
    int64_t took_ns = draw_ns(w->random, q->ms, q->spread);
    s->end_ns = now_ns + (draw_chance(w->random, q->slow) ? 30 * took_ns : took_ns);
    return (struct outcome){s->end_ns, false};
}

/* The consumer works on after the publisher has gone on. */
static struct outcome publish(struct walk *w, const struct sm_demo_span *caller, const struct sm_demo_operation *o,
                              int64_t now_ns)
{
    unsigned partition = draw_below(w->random, 6);
    struct sm_demo_span *producer = add_span(w, caller->service, caller->instance, SM_KIND_PRODUCER,
                                             name_of(w, o, SM_KIND_PRODUCER), caller->id, now_ns);
    describe_message(w, producer, o, partition);
    producer->end_ns = now_ns + draw_ns(w->random, 1.5, 0.4);
    int64_t taken_ns = producer->end_ns + draw_ns(w->random, 15, 0.7);
    struct sm_demo_span *consumer = add_span(w, o->service, draw_instance(w), SM_KIND_CONSUMER,
                                             name_of(w, o, SM_KIND_CONSUMER), producer->id, taken_ns);
    describe_message(w, consumer, o, partition);
    serve(w, o, consumer);
    return (struct outcome){producer->end_ns, false};
}

static struct outcome take_step(struct walk *w, const struct sm_demo_span *s, const struct sm_demo_step *step,
                                int64_t now_ns)
{
    switch (step->type) {
    case SM_DEMO_CALL:
        return call(w, s, &sm_demo_operations[step->target], now_ns);
    case SM_DEMO_QUERY:
        return query(w, s, &sm_demo_queries[step->target], now_ns);
    default:
        return publish(w, s, &sm_demo_operations[step->target], now_ns);
    }
}

/* The work of an operation, within its span, which gets its end here. */
static struct outcome serve(struct walk *w, const struct sm_demo_operation *o, struct sm_demo_span *s)
{
    int64_t work_ns = draw_ns(w->random, o->ms, o->spread);
    if (draw_chance(w->random, o->slow))
        work_ns *= 20;
    int64_t now_ns = s->start_ns + work_ns / 2;
    bool failed = false;
    for (unsigned i = 0; i < SM_DEMO_STEPS_MAX && o->steps[i].type != SM_DEMO_NO_STEP && !failed; i++) {
        if (!draw_chance(w->random, o->steps[i].chance))
            continue;
        struct outcome done = take_step(w, s, &o->steps[i], now_ns);
        now_ns = done.end_ns + draw_ns(w->random, 0.1, 0.5);
        failed = done.failed && !o->steps[i].optional;
    }
    if (!failed && draw_chance(w->random, o->fails)) {
        s->error = o->error;
        s->message = o->message;
        failed = true;
    }
    s->end_ns = now_ns + work_ns - work_ns / 2;
    if (o->protocol == SM_DEMO_TOPIC)
        s->failed = failed;
    else
        describe_answer(s, o, failed);
    return (struct outcome){s->end_ns, failed};
}

/* ---- traces ---- */

static const struct sm_demo_operation *draw_operation(struct sm_demo_random *r)
{
    unsigned sum = 0, i = 0;
    for (unsigned k = 0; k < sm_demo_operation_count; k++)
        sum += sm_demo_operations[k].weight;
    unsigned at = draw_below(r, sum);
    while (at >= sm_demo_operations[i].weight)
        at -= sm_demo_operations[i++].weight;
    return &sm_demo_operations[i];
}

static void make_request(struct walk *w)
{
    const struct sm_demo_operation *o = draw_operation(w->random);
    struct sm_demo_span *s =
        add_span(w, o->service, draw_instance(w), SM_KIND_SERVER, name_of(w, o, SM_KIND_SERVER), 0, 0);
    describe_call(w, s, o);
    describe_user(w, s);
    serve(w, o, s);
}

/* What Envoy says about a request. */
static void describe_proxy(struct walk *w, struct sm_demo_span *s, const char *request_id, bool failed)
{
    bool ingress = s->service == SM_DEMO_INGRESS;
    s->name = "frontend.shop.svc.cluster.local:8080/*";
    s->failed = failed;
    attribute(s, "component", "proxy");
    attribute(s, "guid:x-request-id", request_id);
    attribute(s, "http.method", sm_demo_proxied.method);
    attribute(s, "http.url", text(w->t, "https://shop.example.com%s", sm_demo_proxied.route));
    attribute(s, "http.status_code", failed ? "500" : "200");
    attribute(s, "http.protocol", "HTTP/1.1");
    attribute(s, "response_flags", "-");
    attribute(s, "upstream_cluster",
              ingress ? "outbound|8080||frontend.shop.svc.cluster.local"
                      : "inbound|8080||frontend.shop.svc.cluster.local");
    if (failed)
        attribute(s, "error", "true");
}

/* Ingress proxy, sidecar, application: Envoy gives the sidecar's half the id of the ingress's, and the application
 * hangs below that id. Three spans, two ids. */
static void make_proxied_request(struct walk *w)
{
    unsigned instance = draw_instance(w);
    int64_t hop_ns = draw_ns(w->random, 0.5, 0.4), local_ns = draw_ns(w->random, 0.1, 0.3);
    struct sm_demo_span *ingress = add_span(w, SM_DEMO_INGRESS, 0, SM_KIND_CLIENT, NULL, 0, 0);
    struct sm_demo_span *sidecar = add_span(w, SM_DEMO_SIDECAR, instance, SM_KIND_SERVER, NULL, 0, hop_ns);
    sidecar->id = ingress->id;
    sidecar->shared = true;
    struct sm_demo_span *application =
        add_span(w, SM_DEMO_FRONTEND, instance, SM_KIND_SERVER, name_of(w, &sm_demo_proxied, SM_KIND_SERVER),
                 ingress->id, hop_ns + local_ns);
    application->by_jaeger = true;
    describe_call(w, application, &sm_demo_proxied);
    struct outcome served = serve(w, &sm_demo_proxied, application);
    sidecar->end_ns = served.end_ns + local_ns;
    ingress->end_ns = sidecar->end_ns + hop_ns;
    uint64_t guid = draw(w->random);
    const char *request_id =
        text(w->t, "%08x-%04x-4%03x-9%03x-%012llx", (unsigned)(guid >> 32), (unsigned)(guid >> 16) & 0xffff,
             (unsigned)guid & 0xfff, (unsigned)(guid >> 52), (unsigned long long)(draw(w->random) >> 16));
    describe_proxy(w, ingress, request_id, served.failed);
    describe_proxy(w, sidecar, request_id, served.failed);
}

void sm_demo_trace_make(struct sm_demo_trace *t, struct sm_demo_random *random, uint64_t number, int64_t end_ns)
{
    struct walk w = {t, random};
    t->id.hi = draw_id(random);
    t->id.lo = draw_id(random);
    t->count = 0;
    t->text_size = 0;
    if (number % SM_DEMO_PROXIED_EVERY == SM_DEMO_PROXIED_EVERY - 1)
        make_proxied_request(&w);
    else
        make_request(&w);
    int64_t last_ns = 0;
    for (unsigned i = 0; i < t->count; i++)
        last_ns = SM_MAX(last_ns, t->spans[i].end_ns);
    for (unsigned i = 0; i < t->count; i++) {
        t->spans[i].start_ns += end_ns - last_ns;
        t->spans[i].end_ns += end_ns - last_ns;
    }
}
