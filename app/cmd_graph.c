/* spanmill graph: the service-dependency graph of a running daemon or of recordings. */
#include "app/command.h"
#include "app/fetch.h"
#include "app/graph_request.h"
#include "app/replay.h"

#include <errno.h>
#include <stdlib.h>

enum {
    OPTION_FROM = SM_OPTION_CONFIG_COUNT,
    OPTION_FORMAT,
    OPTION_LOOKBACK,
    OPTION_START,
    OPTION_END,
    OPTION_OUTPUT,
    OPTION_QUIET
};

#define DEFAULT_FROM "http://127.0.0.1:16686"

enum { FETCH_TIMEOUT_S = 60 };

/* Calls may lie this far from the moment when their trace was recorded (analysis/dependency.h). */
#define APART_NS (24 * 3600 * SM_SEC)

struct options {
    struct sm_config_args config_args;
    struct sm_graph_request request;
    const char *from, *output;
    bool quiet;
    char **files;
    size_t file_count;
};

static enum sm_exit fail(const char *text)
{
    fprintf(stderr, "spanmill graph: %s\n", text);
    return SM_EXIT_FAILURE;
}

/* Opened only now: what failed before leaves a file as it was. */
static enum sm_exit write_out(const char *path, struct sm_str graph)
{
    FILE *out = path ? fopen(path, "w") : stdout;
    bool good = out && fwrite(graph.ptr, 1, graph.len, out) == graph.len && fflush(out) == 0;
    int number = errno;
    if (out && path && fclose(out) != 0 && good) {
        good = false;
        number = errno;
    }
    if (good)
        return SM_EXIT_OK;
    fprintf(stderr, "spanmill graph: cannot write %s: %s\n", path ? path : "standard output", strerror(number));
    return SM_EXIT_FAILURE;
}

/* ---- from a daemon ---- */

static enum sm_exit take_reply(const struct options *o, const char *url, const struct sm_fetch_reply *reply)
{
    if (reply->status == 200)
        return write_out(o->output, sm_buf_str(&reply->body));
    char text[300];
    sm_fetch_error_text(reply, text, sizeof text);
    fprintf(stderr, "spanmill graph: %s answered %ld%s%s\n", url, reply->status, *text ? ": " : "", text);
    return SM_EXIT_FAILURE;
}

static enum sm_exit fetch_graph(const struct options *o)
{
    struct sm_fetch *f = sm_fetch_new(FETCH_TIMEOUT_S * SM_SEC, NULL);
    struct sm_fetch_reply reply = {0};
    struct sm_buf url = {0};
    struct sm_err err;
    sm_graph_request_url(&o->request, o->from ? o->from : DEFAULT_FROM, &url);
    enum sm_exit code;
    enum sm_rc rc = sm_fetch_get(f, (const char *)url.data, &reply, &err);
    if (rc == SM_OK)
        code = take_reply(o, (const char *)url.data, &reply);
    else
        code = fail(err.text);
    if (rc == SM_E_CLOSED)
        fprintf(stderr, "Start the daemon with `spanmill run`, name another one with --from, or name recordings.\n");
    sm_buf_fini(&url);
    sm_buf_fini(&reply.body);
    sm_fetch_free(f);
    return code;
}

/* ---- from recordings ---- */

static enum sm_exit write_graph(const struct options *o, struct sm_engine *e, int64_t recorded_end_ns)
{
    int64_t start_ns, end_ns;
    sm_graph_request_range(&o->request, recorded_end_ns, &start_ns, &end_ns);
    bool to_the_end = o->request.end_ns == SM_GRAPH_REQUEST_UNSET;
    struct sm_graph graph = {0};
    sm_dependency_snapshot(e->dependency, start_ns / SM_MS, (to_the_end ? end_ns + APART_NS : end_ns) / SM_MS,
                           SM_EDGES_ANY_SOURCE, &graph);
    graph.end_ms = end_ns / SM_MS;
    struct sm_buf text = {0};
    sm_graph_write(&graph, o->request.format, &text);
    sm_graph_fini(&graph);
    enum sm_exit code = write_out(o->output, sm_buf_str(&text));
    sm_buf_fini(&text);
    return code;
}

static enum sm_exit replay_graph(const struct options *o, const struct sm_config *config)
{
    struct sm_err err;
    sm_replay_fix_seed();
    struct sm_engine *e = sm_replay_engine_new(config, 1, NULL, &err);
    if (!e)
        return fail(err.text);
    struct sm_replay_totals totals;
    enum sm_exit code;
    if (sm_replay_files(e, o->files, o->file_count, !o->quiet, &totals, &err) == SM_OK) {
        if (totals.records_refused || totals.spans_rejected)
            fprintf(stderr, "spanmill graph: %llu record%s and %llu span%s refused; first: %s\n",
                    (unsigned long long)totals.records_refused, totals.records_refused == 1 ? "" : "s",
                    (unsigned long long)totals.spans_rejected, totals.spans_rejected == 1 ? "" : "s", totals.first_problem);
        code = write_graph(o, e, totals.recorded_end_ns);
    } else {
        code = fail(err.text);
    }
    sm_engine_free(e);
    return code;
}

static enum sm_exit graph_of_files(const struct options *o)
{
    struct sm_config *config = sm_config_args_load(&o->config_args);
    if (!config)
        return SM_EXIT_USAGE;
    config->analysis.graph.enabled = true;
    enum sm_exit code = replay_graph(o, config);
    sm_config_free(config);
    return code;
}

/* ---- arguments ---- */

static enum sm_rc take(struct options *o, int option, const char *value, struct sm_err *err)
{
    switch (option) {
    case OPTION_FROM:
        o->from = value;
        return SM_OK;
    case OPTION_FORMAT:
        return sm_graph_request_format(&o->request, value, err);
    case OPTION_LOOKBACK:
        return sm_graph_request_lookback(&o->request, value, err);
    case OPTION_START:
        return sm_graph_request_time(value, &o->request.start_ns, err);
    case OPTION_END:
        return sm_graph_request_time(value, &o->request.end_ns, err);
    case OPTION_OUTPUT:
        o->output = value;
        return SM_OK;
    case OPTION_QUIET:
        o->quiet = true;
        return SM_OK;
    case SM_ARGS_OPERAND:
        o->files = sm_xrealloc(o->files, (o->file_count + 1) * sizeof *o->files);
        o->files[o->file_count++] = (char *)(uintptr_t)value;
        return SM_OK;
    default:
        sm_config_args_take(&o->config_args, option, value);
        return SM_OK;
    }
}

static enum sm_rc check(const struct options *o, struct sm_err *err)
{
    if (o->from && o->file_count)
        return sm_err_set(err, SM_E_INVALID, "either asks a daemon (--from) or reads files");
    if (!o->file_count && (o->config_args.file || o->config_args.n_sets))
        return sm_err_set(err, SM_E_INVALID, "a configuration only matters for files; a daemon has its own");
    return sm_graph_request_check(&o->request, err);
}

static enum sm_exit run(struct sm_args *args)
{
    struct options o = {0};
    struct sm_err err;
    int option;
    enum sm_exit code = SM_EXIT_USAGE;
    sm_graph_request_init(&o.request);
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR)
            goto out;
        if (take(&o, option, args->value, &err) != SM_OK) {
            sm_args_usage(args, "%s", err.text);
            goto out;
        }
    }
    if (check(&o, &err) != SM_OK)
        sm_args_usage(args, "%s", err.text);
    else
        code = o.file_count ? graph_of_files(&o) : fetch_graph(&o);
out:
    free(o.files);
    return code;
}

const struct sm_command sm_command_graph = {
    .name = "graph",
    .operands = "[FILE...]",
    .summary = "export who calls whom, from a daemon or from recordings",
    .help = "Without FILE it asks a running daemon. With FILE it replays recordings (see replay; \"-\" is standard\n"
            "input) and writes nothing but the graph; --lookback then counts from the end of the recording. Times\n"
            "are RFC 3339 (2026-03-01T12:00:00Z) or Unix time in s, ms, us or ns. The graph knows minutes, and\n"
            "older times by hours and days. What the daemon asks for is taken from SPANMILL_CA (a file),\n"
            "SPANMILL_CERT and SPANMILL_KEY, and from SPANMILL_TOKEN or SPANMILL_USER (name:password).",
    .options = {SM_CONFIG_OPTIONS,
                [OPTION_FROM] = {"from", 0, "URL", "the daemon's query listener (" DEFAULT_FROM ")"},
                [OPTION_FORMAT] = {"format", 'f', "FORMAT", "json, dot or csv (json)"},
                [OPTION_LOOKBACK] = {"lookback", 'l', "TIME", "only the last 1h, 7d, ... before the end (daemon: 1h)"},
                [OPTION_START] = {"start", 0, "TIME", "only calls from here on"},
                [OPTION_END] = {"end", 0, "TIME", "only calls before this (now, or the end of the recording)"},
                [OPTION_OUTPUT] = {"output", 'o', "FILE", "write to FILE instead of standard output"},
                [OPTION_QUIET] = {"quiet", 'q', NULL, "no progress"}},
    .run = run,
};
