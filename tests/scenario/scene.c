/* The verbs. */
#include "scene.h"

#include "base/hash.h"
#include "expect.h"
#include "words.h"

#include <inttypes.h>
#include <stdlib.h>

#define HASH_SEED UINT64_C(0x7363656e6172696f)
#define STEP_NS   (100 * SM_MS)

bool scene_fail(struct scene *s, unsigned line, const char *format, ...)
{
    if (s->failure[0])
        return false;
    int n = snprintf(s->failure, sizeof s->failure, "%s:%u: ", s->script->path, line);
    va_list args;
    va_start(args, format);
    vsnprintf(s->failure + n, sizeof s->failure - (size_t)n, format, args);
    va_end(args);
    return false;
}

struct capture *scene_sink(struct scene *s, const char *name)
{
    for (unsigned i = 0; i < s->sink_count; i++) {
        if (strcmp(s->sinks[i]->name, name) == 0)
            return s->sinks[i];
    }
    return NULL;
}

struct client *scene_client(struct scene *s, const char *name)
{
    for (unsigned i = 0; i < s->client_count; i++) {
        if (strcmp(s->clients[i].name, name) == 0)
            return &s->clients[i];
    }
    return NULL;
}

/* --- the engine --- */

static bool load_config(struct scene *s, unsigned line)
{
    struct sm_config_report report = {0};
    s->config = sm_config_new();
    const char *yaml = s->yaml ? s->yaml : "";
    bool ok = sm_config_load_text(s->config, s->script->path, sm_str_c(yaml), &report) &&
              sm_config_validate(s->config, &report);
    if (!ok)
        scene_fail(s, line, "the configuration is refused:\n%s", sm_config_report_text(&report));
    sm_config_report_fini(&report);
    return ok;
}

bool scene_start(struct scene *s, unsigned line)
{
    if (s->engine)
        return true;
    if (!load_config(s, line))
        return false;
    struct sm_err err;
    struct sm_engine_options options = {
        .placement = SM_PLACEMENT_INLINE,
        .shards = s->shards,
        .memory_triggers = s->memory,
        .start_ns = SCENE_START_NS,
        .sinks = s->fanout_sinks,
        .sink_count = s->sink_count,
    };
    s->engine = sm_engine_new(s->config, &options, &err);
    if (!s->engine)
        return scene_fail(s, line, "the engine cannot be built: %s", err.text);
    s->metrics = sm_prom_registry_new();
    sm_engine_register_metrics(s->engine, s->metrics);
    return true;
}

void scene_settle(struct scene *s)
{
    sm_pipeline_tend(s->engine->pipeline);
}

/* As the daemon's control thread and its sinks' threads would. */
static void step_to(struct scene *s, int64_t now_ns)
{
    s->now_ns = now_ns;
    sm_pipeline_advance(s->engine->pipeline, now_ns);
    if (!s->drained)
        sm_fanout_poll(s->engine->fanout, now_ns);
    scene_settle(s);
    sm_engine_expire(s->engine, now_ns);
}

static void close_windows(struct scene *s)
{
    sm_pipeline_close_all(s->engine->pipeline);
    scene_settle(s);
}

static void drain(struct scene *s)
{
    if (!s->engine || s->drained)
        return;
    close_windows(s);
    s->drained = true;
    sm_fanout_stop(s->engine->fanout, 0);
    scene_settle(s);
}

/* --- verbs --- */

static bool verb_spanmill(struct scene *s, const struct script_statement *st)
{
    const struct script_words *w = &st->words;
    if (s->engine || s->yaml || w->count < 2)
        return scene_fail(s, w->line, "spanmill NAME { configuration } stands once, before everything that needs it");
    snprintf(s->name, sizeof s->name, "%s", w->items[1]);
    for (unsigned i = 2; i < w->count; i++) {
        if (strcmp(w->items[i], "-memory") != 0)
            return scene_fail(s, w->line, "%s: no such option of spanmill", w->items[i]);
        s->memory = true;
    }
    struct sm_buf yaml = {0};
    for (unsigned i = 0; i < st->body_count; i++)
        sm_buf_printf(&yaml, "%s\n", st->body[i]);
    sm_buf_putc(&yaml, '\0');
    s->yaml = (char *)yaml.data;
    return true;
}

struct sink_context {
    struct capture *capture;
    struct sm_fanout_sink *fanout; /* NULL: the engine runs */
};

/* What can be said at any time. */
static int take_mood(struct capture *c, const char *option, const char *value)
{
    uint64_t n = 0;
    if (strcmp(option, "-refuse") == 0)
        return c->refuse = true, 1;
    if (strcmp(option, "-accept") == 0)
        return c->refuse = false, c->fail = 0, 1;
    if (strcmp(option, "-hold") == 0)
        return c->hold = true, 1;
    if (strcmp(option, "-release") == 0)
        return capture_release(c), 1;
    if (strcmp(option, "-fail") == 0 && value && words_number(value, &n))
        return c->fail = n, 2;
    if (strcmp(option, "-partial") == 0 && value && words_number(value, &n))
        return c->partial = n, 2;
    if (strcmp(option, "-retry-after") == 0 && value && words_duration(value, &c->retry_after_ns))
        return 2;
    return 0;
}

/* How the sink is used, before the start. */
static int take_use(struct sm_fanout_sink *f, const char *option, const char *value)
{
    uint64_t n = 0;
    if (strcmp(option, "-only-errors") == 0)
        return f->wants = capture_wants_errors, 1;
    if (strcmp(option, "-batch") == 0 && value && words_number(value, &n))
        return f->batch_spans_max = (uint32_t)n, 2;
    if (strcmp(option, "-in-flight") == 0 && value && words_number(value, &n))
        return f->in_flight_max = (uint32_t)n, 2;
    if (strcmp(option, "-queue") == 0 && value && words_number(value, &f->queue_bytes_max))
        return 2;
    if (strcmp(option, "-linger") == 0 && value && words_duration(value, &f->batch_linger_ns))
        return 2;
    if (strcmp(option, "-retry") == 0 && value && words_duration(value, &f->retry.initial_ns))
        return 2;
    if (strcmp(option, "-give-up") == 0 && value && words_duration(value, &f->retry.give_up_ns))
        return 2;
    return 0;
}

static bool verb_sink(struct scene *s, const struct script_statement *st)
{
    const struct script_words *w = &st->words;
    if (w->count < 2)
        return scene_fail(s, w->line, "sink NAME ...");
    struct capture *c = scene_sink(s, w->items[1]);
    struct sm_fanout_sink *use = NULL;
    if (!c) {
        if (s->engine || s->sink_count == SM_FANOUT_SINKS_MAX)
            return scene_fail(s, w->line, "sink %s: new sinks come before the start", w->items[1]);
        c = s->sinks[s->sink_count] = capture_new(w->items[1]);
        use = &s->fanout_sinks[s->sink_count++];
        *use = (struct sm_fanout_sink){.name = c->name, .ops = &capture_ops, .sink = c, .retry = SM_SINK_RETRY_DEFAULT};
    }
    for (unsigned i = 2; i < w->count;) {
        const char *value = i + 1 < w->count ? w->items[i + 1] : NULL;
        int taken = take_mood(c, w->items[i], value);
        if (!taken && use)
            taken = take_use(use, w->items[i], value);
        if (!taken)
            return scene_fail(s, w->line, "sink: %s is not understood here", w->items[i]);
        i += (unsigned)taken;
    }
    return true;
}

static struct client *client_of(struct scene *s, const char *name)
{
    struct client *c = scene_client(s, name);
    if (c || s->client_count == SCENE_CLIENTS_MAX)
        return c;
    c = &s->clients[s->client_count++];
    *c = (struct client){.format = span_format_find("otlp")};
    snprintf(c->name, sizeof c->name, "%s", name);
    return c;
}

struct client_options {
    bool each;     /* a payload for every span */
    bool recorded; /* as replay does: the spans move the clock */
    const char *raw_text, *raw_hex;
    uint64_t cut; /* bytes taken off the end */
};

static bool take_client_option(struct client *c, struct client_options *o, const char *option, const char *value,
                               unsigned *at)
{
    *at += 1;
    if (strcmp(option, "-each") == 0)
        return o->each = true;
    if (strcmp(option, "-recorded") == 0)
        return o->recorded = true;
    *at += 1;
    if (!value)
        return false;
    if (strcmp(option, "-as") == 0)
        return (c->format = span_format_find(value)) != NULL;
    if (strcmp(option, "-svc") == 0)
        return snprintf(c->service, sizeof c->service, "%s", value) > 0;
    if (strcmp(option, "-cut") == 0)
        return words_number(value, &o->cut);
    if (strcmp(option, "-raw") == 0)
        return (o->raw_text = value) != NULL;
    if (strcmp(option, "-hex") == 0)
        return (o->raw_hex = value) != NULL;
    return false;
}

static void submit(struct scene *s, struct client *c, const struct client_options *o, const void *bytes, size_t size)
{
    struct sm_worker *w = sm_pipeline_worker(s->engine->pipeline, 0);
    size -= SM_MIN(size, (size_t)o->cut);
    struct sm_payload *p = sm_payload_new(sm_worker_payloads(w), size + 1);
    SM_ASSERT(p);
    if (size)
        memcpy(p->data, bytes, size);
    p->size = size;
    p->arrived_ns = s->now_ns;
    if (o->recorded) {
        sm_worker_replay(w, c->format->codec, SM_SOURCE_LIVE, &p, &s->recorded, &c->result);
        s->now_ns = SM_MAX(s->now_ns, s->recorded.now_ns);
    } else {
        sm_worker_submit(w, c->format->codec, SM_SOURCE_LIVE, &p, &c->result);
    }
    c->accepted += c->result.accepted;
    c->rejected += c->result.rejected;
}

static bool submit_hex(struct scene *s, struct client *c, const struct client_options *o, unsigned line)
{
    size_t size_max = strlen(o->raw_hex) / 2;
    uint8_t *bytes = sm_xmalloc(size_max + 1);
    size_t size = words_hex(o->raw_hex, bytes, size_max);
    if (size != SIZE_MAX)
        submit(s, c, o, bytes, size);
    free(bytes);
    return size != SIZE_MAX || scene_fail(s, line, "-hex takes pairs of hex digits");
}

static bool read_spans(struct scene *s, const struct client *c, const struct script_statement *st, struct span_list *list)
{
    bool ok = true;
    for (unsigned i = 0; ok && i < st->body_count; i++) {
        struct script_words words;
        unsigned line = st->body_line + i;
        char why[128] = "a quote or a parenthesis is not closed";
        ok = script_split(st->body[i], line, &words);
        if (ok && words.count && strcmp(words.items[0], "span") != 0) {
            ok = false;
            snprintf(why, sizeof why, "%.60s: only spans stand here", words.items[0]);
        } else if (ok && words.count) {
            ok = span_list_add(list, &words, c->service[0] ? c->service : NULL, SCENE_START_NS, s->now_ns, why);
        }
        if (!ok)
            scene_fail(s, line, "%s", why);
        script_words_fini(&words);
    }
    return ok;
}

static bool submit_spans(struct scene *s, struct client *c, const struct client_options *o, const struct script_statement *st)
{
    struct span_list list = {0};
    bool ok = read_spans(s, c, st, &list);
    size_t step = o->each ? 1 : SM_MAX(list.count, (size_t)1);
    for (size_t at = 0; ok && (at < list.count || at == 0); at += step) {
        struct sm_buf body = {0};
        c->format->encode(list.items + at, SM_MIN(step, list.count - at), &body);
        submit(s, c, o, body.data, body.size);
        sm_buf_fini(&body);
    }
    span_list_fini(&list);
    return ok;
}

static bool verb_client(struct scene *s, const struct script_statement *st)
{
    const struct script_words *w = &st->words;
    if (w->count < 2 || !scene_start(s, w->line))
        return scene_fail(s, w->line, "client NAME ...");
    if (s->drained)
        return scene_fail(s, w->line, "nothing is taken after drain");
    struct client *c = client_of(s, w->items[1]);
    if (!c)
        return scene_fail(s, w->line, "too many clients");
    struct client_options o = {0};
    for (unsigned i = 2; i < w->count;) {
        const char *option = w->items[i], *value = i + 1 < w->count ? w->items[i + 1] : NULL;
        if (!take_client_option(c, &o, option, value, &i))
            return scene_fail(s, w->line, "client: %s %s is not understood", option, value ? value : "");
    }
    c->accepted = c->rejected = 0;
    if (o.raw_hex)
        return submit_hex(s, c, &o, w->line);
    if (o.raw_text) {
        submit(s, c, &o, o.raw_text, strlen(o.raw_text));
        return true;
    }
    return st->body_count == 0 || submit_spans(s, c, &o, st);
}

static bool verb_advance(struct scene *s, const struct script_statement *st)
{
    int64_t by_ns;
    if (st->words.count != 2 || !words_duration(st->words.items[1], &by_ns))
        return scene_fail(s, st->words.line, "advance DURATION");
    if (!scene_start(s, st->words.line))
        return false;
    if (by_ns < 0) /* the clock was set back */
        s->now_ns += by_ns;
    for (int64_t end_ns = s->now_ns + by_ns; s->now_ns < end_ns;)
        step_to(s, SM_MIN(s->now_ns + STEP_NS, end_ns));
    return true;
}

static bool verb_drain(struct scene *s, const struct script_statement *st)
{
    if (!scene_start(s, st->words.line))
        return false;
    drain(s);
    return true;
}

static bool verb_expect(struct scene *s, const struct script_statement *st)
{
    return scene_start(s, st->words.line) && expect(s, &st->words);
}

static const struct {
    const char *name;
    bool (*run)(struct scene *s, const struct script_statement *statement);
} verbs[] = {{"spanmill", verb_spanmill}, {"sink", verb_sink},     {"client", verb_client},
             {"advance", verb_advance},   {"expect", verb_expect}, {"drain", verb_drain}};

static bool run_statement(struct scene *s, const struct script_statement *st)
{
    for (size_t i = 0; i < SM_ARRAY_LEN(verbs); i++) {
        if (strcmp(verbs[i].name, st->words.items[0]) == 0)
            return verbs[i].run(s, st);
    }
    return scene_fail(s, st->words.line, "%s: no such verb", st->words.items[0]);
}

/* --- accounting --- */

static uint64_t stat(const struct scene *s, enum sm_stat id)
{
    return sm_pipeline_stat(s->engine->pipeline, id);
}

static void balance_of_sink(const struct scene *s, unsigned i, char out[512])
{
    const struct sm_fanout *f = s->engine->fanout;
    uint64_t kept = sm_fanout_stat(f, i, SM_FANOUT_KEPT), sum = 0;
    for (int stat_id = SM_FANOUT_DELIVERED; stat_id <= SM_FANOUT_QUEUED; stat_id++)
        sum += sm_fanout_stat(f, i, (enum sm_fanout_stat)stat_id);
    if (kept != sum)
        snprintf(out, 512, "sink %s: kept %" PRIu64 ", outcomes together %" PRIu64, s->sinks[i]->name, kept, sum);
    else if (kept != stat(s, SM_STAT_SPANS_KEPT))
        snprintf(out, 512, "sink %s: offered %" PRIu64 ", kept by the pipeline %" PRIu64, s->sinks[i]->name, kept,
                 stat(s, SM_STAT_SPANS_KEPT));
}

void scene_balance(struct scene *s, char out[512])
{
    uint64_t rejected = 0;
    for (unsigned i = 0; i < SM_REJECT_COUNT; i++)
        rejected += sm_pipeline_rejected(s->engine->pipeline, (enum sm_reject)i);
    uint64_t received = stat(s, SM_STAT_SPANS_RECEIVED) + stat(s, SM_STAT_SPANS_RESTORED);
    uint64_t duplicate = stat(s, SM_STAT_SPANS_DUPLICATE), sampled_out = stat(s, SM_STAT_SPANS_SAMPLED_OUT);
    uint64_t dropped = stat(s, SM_STAT_SPANS_DROPPED_SHUTDOWN) + stat(s, SM_STAT_SPANS_DROPPED_NOMEM);
    uint64_t open = sm_pipeline_gauges(s->engine->pipeline).spans_open, kept = stat(s, SM_STAT_SPANS_KEPT);
    out[0] = '\0';
    if (received != rejected + duplicate + sampled_out + dropped + open + kept)
        snprintf(out, 512,
                 "received %" PRIu64 " != rejected %" PRIu64 " + duplicate %" PRIu64 " + sampled out %" PRIu64
                 " + dropped %" PRIu64 " + open %" PRIu64 " + kept %" PRIu64,
                 received, rejected, duplicate, sampled_out, dropped, open, kept);
    for (unsigned i = 0; i < s->sink_count && !out[0]; i++)
        balance_of_sink(s, i, out);
}

/* Nothing may be left over after the drain. */
static void check_end(struct scene *s)
{
    unsigned line = s->script->count ? s->script->statements[s->script->count - 1].words.line : 0;
    char problem[512];
    drain(s);
    scene_balance(s, problem);
    struct sm_pipeline_gauges g = sm_pipeline_gauges(s->engine->pipeline);
    if (problem[0])
        scene_fail(s, line, "at the end: balance: %s", problem);
    if (g.spans_open || g.traces_open || g.bytes_open)
        scene_fail(s, line, "at the end: open: %" PRIu64 " spans, %" PRIu64 " traces, %" PRIu64 " bytes", g.spans_open,
                   g.traces_open, g.bytes_open);
    for (unsigned i = 0; i < s->sink_count; i++) {
        if (sm_fanout_stat(s->engine->fanout, i, SM_FANOUT_QUEUED) || !s->sinks[i]->closed)
            scene_fail(s, line, "at the end: sink %s: still queued or open", s->sinks[i]->name);
    }
}

static void scene_fini(struct scene *s)
{
    drain(s);
    sm_engine_free(s->engine);
    sm_prom_registry_free(s->metrics);
    sm_config_free(s->config);
    for (unsigned i = 0; i < s->sink_count; i++)
        capture_free(s->sinks[i]);
    free(s->yaml);
}

bool scene_run(struct scene *s)
{
    sm_hash_seed = HASH_SEED;
    s->now_ns = SCENE_START_NS;
    bool ok = true;
    for (unsigned i = 0; i < s->script->count && ok; i++)
        ok = run_statement(s, &s->script->statements[i]);
    if (ok && scene_start(s, 0))
        check_end(s);
    scene_fini(s);
    return !s->failure[0];
}
