/* A scenario under way: the engine, its sinks and clients, the virtual clock. Runs statements one by one. */
#ifndef SM_SCENARIO_SCENE_H
#define SM_SCENARIO_SCENE_H

#include "app/engine.h"
#include "capture.h"
#include "pipeline/worker.h"
#include "script.h"
#include "spans.h"

/* Where virtual time starts: 2026-01-01T00:00:00Z. */
#define SCENE_START_NS (INT64_C(1767225600) * SM_SEC)

enum { SCENE_CLIENTS_MAX = 16 };

struct client {
    char name[32];
    char service[64]; /* default of its spans */
    const struct span_format *format;
    struct sm_submit result;     /* of its last payload ... */
    uint32_t accepted, rejected; /* ... and of the whole statement */
};

struct scene {
    const struct script *script;
    unsigned shards;
    char name[32];    /* of the process */
    char *yaml;       /* its configuration */
    bool memory;      /* memory triggers on */
    struct sm_config *config;
    struct sm_engine *engine; /* NULL before the first statement that needs it */
    struct sm_prom_registry *metrics;
    int64_t now_ns;
    bool drained;
    struct capture *sinks[SM_FANOUT_SINKS_MAX];
    struct sm_fanout_sink fanout_sinks[SM_FANOUT_SINKS_MAX];
    unsigned sink_count;
    struct client clients[SCENE_CLIENTS_MAX];
    unsigned client_count;
    struct sm_recorded_clock recorded;
    char failure[4096]; /* file:line: what */
};

/* Runs a whole scenario: its statements, then the implied drain and balance. True when everything held; else s->failure says
 * why. */
bool scene_run(struct scene *s);

/* For verbs: remembers the first failure and returns false. */
bool scene_fail(struct scene *s, unsigned line, const char *format, ...) SM_PRINTF(3, 4);
/* Builds the engine when it is not there yet. */
bool scene_start(struct scene *s, unsigned line);
/* Brings what analyzers know to their global states. */
void scene_settle(struct scene *s);
struct capture *scene_sink(struct scene *s, const char *name);
struct client *scene_client(struct scene *s, const char *name);
/* "" when the accounting identities of pipeline/stats.def and pipeline/fanout.def hold, else the first that does not. */
void scene_balance(struct scene *s, char out[512]);

#endif
