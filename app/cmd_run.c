/* spanmill run: the daemon. */
#include "app/command.h"
#include "app/topology.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/net/loop.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

enum { DRAIN_TIMEOUT_S = 30 };

/* SIGINT and SIGTERM end the run; a second one ends the process where it stands. Wrappers (timeout, npm, some shells) pass on what a
 * terminal sends to the whole group anyway: what comes so soon after the first is its copy. SIGHUP loads certificates and
 * credentials. */
#define COPY_NS (500 * SM_MS)

struct signals {
    uv_signal_t interrupt, terminate, hangup;
    struct sm_topology *topology;
    int64_t ending_since_ns; /* 0: not ending */
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *s = handle->data;
    int64_t now_ns = sm_clock_mono_ns();
    if (s->ending_since_ns && now_ns - s->ending_since_ns < COPY_NS)
        return;
    if (s->ending_since_ns) {
        sm_log(SM_LOG_WARN, "forced_exit", sm_kv("signal", strsignal(number)),
               sm_kv("drained_ms", (now_ns - s->ending_since_ns) / SM_MS));
        _exit(SM_EXIT_FAILURE);
    }
    s->ending_since_ns = now_ns;
    sm_log(SM_LOG_INFO, "draining", sm_kv("signal", strsignal(number)), sm_kv("seconds_max", DRAIN_TIMEOUT_S),
           sm_kv("hint", "a second signal ends at once"));
    sm_topology_end(s->topology);
}

static void on_hangup(uv_signal_t *handle, int number SM_UNUSED)
{
    const struct signals *s = handle->data;
    if (s->ending_since_ns)
        return;
    sm_log(SM_LOG_INFO, "reload", sm_kv("hint", "certificates and credentials are loaded again; other settings need a restart"));
    sm_topology_reload(s->topology);
}

static void watch_signals(struct signals *s, struct sm_topology *t)
{
    *s = (struct signals){.topology = t};
    uv_loop_t *loop = sm_loop_uv(sm_topology_loop(t));
    uv_signal_init(loop, &s->interrupt);
    uv_signal_init(loop, &s->terminate);
    uv_signal_init(loop, &s->hangup);
    s->interrupt.data = s->terminate.data = s->hangup.data = s;
    uv_signal_start(&s->interrupt, on_signal, SIGINT);
    uv_signal_start(&s->terminate, on_signal, SIGTERM);
    uv_signal_start(&s->hangup, on_hangup, SIGHUP);
}

static void unwatch_signals(struct signals *s)
{
    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->hangup, NULL);
}

/* However many there are: none of the lines is held back. */
static void print_listeners(const struct sm_topology *t)
{
    struct sm_topology_listener l;
    for (unsigned i = 0; sm_topology_listener(t, i, &l); i++) {
        struct sm_log_site site = {0};
        const struct sm_log_field fields[] = {sm_kv("protocol", l.name), sm_kv("url", l.url)};
        sm_log_write(&site, SM_LOG_INFO, "listening", fields, SM_ARRAY_LEN(fields));
    }
}

/* Of all sinks, the store among them. */
static uint64_t undelivered_spans(const struct sm_fanout *f)
{
    static const enum sm_fanout_stat stats[] = {SM_FANOUT_REJECTED, SM_FANOUT_DROPPED_QUEUE_FULL, SM_FANOUT_DROPPED_RETRIES,
                                                SM_FANOUT_DROPPED_SHUTDOWN};
    uint64_t sum = 0;
    for (unsigned i = 0; i < sm_fanout_sink_count(f); i++) {
        for (unsigned k = 0; k < SM_ARRAY_LEN(stats); k++)
            sum += sm_fanout_stat(f, i, stats[k]);
    }
    return sum;
}

static void print_summary(struct sm_topology *t)
{
    const struct sm_engine *e = sm_topology_engine(t);
    const struct sm_pipeline *p = e->pipeline;
    sm_log(SM_LOG_INFO, "stopped", sm_kv("spans_received", sm_pipeline_stat(p, SM_STAT_SPANS_RECEIVED)),
           sm_kv("spans_kept", sm_pipeline_stat(p, SM_STAT_SPANS_KEPT)),
           sm_kv("spans_stored", sm_engine_delivered(e, SM_ENGINE_STORE_SINK)),
           sm_kv("spans_sampled_out", sm_pipeline_stat(p, SM_STAT_SPANS_SAMPLED_OUT)),
           sm_kv("spans_lost", sm_pipeline_stat(p, SM_STAT_SPANS_DROPPED_SHUTDOWN)),
           sm_kv("spans_undelivered", undelivered_spans(e->fanout)),
           sm_kv("traces_kept", sm_pipeline_stat(p, SM_STAT_TRACES_KEPT)),
           sm_kv("traces_sampled_out", sm_pipeline_stat(p, SM_STAT_TRACES_SAMPLED_OUT)));
}

static void print_ready(struct sm_topology *t, const struct sm_config *config)
{
    const struct sm_engine *e = sm_topology_engine(t);
    sm_log(SM_LOG_INFO, "ready", sm_kv("workers", e->workers), sm_kv("memory_budget_bytes", e->budget_bytes),
           sm_kv("rules", config->rules.n), sm_kv("store", config->store.enabled ? config->store.path : "off"),
           sm_kv("sinks", config->sinks.n));
}

static enum sm_exit serve(const struct sm_config *config)
{
    struct sm_err err;
    struct sm_topology *t = sm_topology_new(config, &err);
    if (!t || sm_topology_start(t, &err) != SM_OK) {
        sm_log(SM_LOG_ERROR, "cannot_start", sm_kv("why", err.text));
        sm_topology_free(t);
        return SM_EXIT_FAILURE;
    }
    struct signals signals;
    watch_signals(&signals, t);
    print_listeners(t);
    print_ready(t, config);
    sm_topology_run(t);
    sm_topology_stop(t, DRAIN_TIMEOUT_S * SM_SEC);
    unwatch_signals(&signals);
    print_summary(t);
    sm_topology_free(t);
    return SM_EXIT_OK;
}

static enum sm_exit run(struct sm_args *args)
{
    struct sm_config_args config_args = {0};
    int option;
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR)
            return SM_EXIT_USAGE;
        if (option == SM_ARGS_OPERAND)
            return sm_args_usage(args, "takes no operand; a configuration is given with -c FILE");
        sm_config_args_take(&config_args, option, args->value);
    }
    struct sm_config *config = sm_config_args_load(&config_args);
    if (!config)
        return SM_EXIT_USAGE;
    sm_log_setup(&(struct sm_log_config){.level = config->log.level, .format = config->log.format, .fd = STDERR_FILENO});
    sm_log(SM_LOG_INFO, "starting", sm_kv("version", SM_VERSION), sm_kv("config", config_args.file ? config_args.file : "built-in"));
    sm_hash_seed_random();
    signal(SIGPIPE, SIG_IGN);
    enum sm_exit code = serve(config);
    sm_log_finish();
    sm_config_free(config);
    return code;
}

const struct sm_command sm_command_run = {
    .name = "run",
    .operands = "",
    .summary = "receive, sample, analyse, store and forward spans",
    .help = "Starts the daemon. Without a configuration it listens on loopback with the defaults of `spanmill help config` and\n"
            "keeps every trace. SIGINT and SIGTERM close all windows with a real decision, let sinks deliver (30 s at most), and\n"
            "end it; a second signal, half a second later or more, ends it at once. SIGHUP loads certificates and files of\n"
            "credentials again, nothing else.",
    .options = {SM_CONFIG_OPTIONS},
    .run = run,
};
