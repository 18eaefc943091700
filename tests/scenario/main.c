/* scenario [--shards N]... FILE|FOLDER...: runs scenarios, each in this process with an engine of its own.
 *
 * Folders stand for their *.smt files in order. Given several times, --shards runs everything with each number. One line per
 * scenario; the last line is `N passed, N failed`. */
#include "base/log.h"
#include "scene.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { SHARD_COUNTS_MAX = 8 };

struct paths {
    char **items;
    size_t count;
};

static void paths_add(struct paths *p, const char *path)
{
    p->items = sm_xrealloc(p->items, (p->count + 1) * sizeof *p->items);
    p->items[p->count++] = sm_xstrndup(path, strlen(path));
}

static int is_scenario(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".smt") == 0;
}

static void add_folder(struct paths *p, const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, is_scenario, alphasort);
    for (int i = 0; i < n; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        paths_add(p, path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static void add(struct paths *p, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        add_folder(p, path);
    else
        paths_add(p, path);
}

static bool run(const char *path, unsigned shards)
{
    struct sm_err err;
    struct script *script = script_load(path, &err);
    struct scene *scene = sm_xcalloc(1, sizeof *scene);
    scene->script = script;
    scene->shards = shards;
    bool ok = script && scene_run(scene);
    const char *slash = strrchr(path, '/');
    printf("%-6s %s (%u shard%s)\n", ok ? "ok" : "FAILED", slash ? slash + 1 : path, shards, shards == 1 ? "" : "s");
    if (!ok)
        printf("%s\n", script ? scene->failure : err.text);
    fflush(stdout);
    script_free(script);
    free(scene);
    return ok;
}

int main(int argc, char **argv)
{
    unsigned shard_counts[SHARD_COUNTS_MAX] = {1}, n_counts = 0;
    struct paths paths = {0};
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = 2});
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--shards") == 0 && i + 1 < argc && n_counts < SHARD_COUNTS_MAX) {
            int n = atoi(argv[++i]);
            shard_counts[n_counts++] = (unsigned)SM_MIN(SM_MAX(n, 1), SM_PIPELINE_SHARDS_MAX);
        } else {
            add(&paths, argv[i]);
        }
    }
    unsigned passed = 0, failed = 0;
    for (unsigned k = 0; k < SM_MAX(n_counts, 1u); k++) {
        for (size_t i = 0; i < paths.count; i++) {
            bool ok = run(paths.items[i], shard_counts[k]);
            passed += ok;
            failed += !ok;
        }
    }
    if (!paths.count)
        fprintf(stderr, "usage: scenario [--shards N]... FILE|FOLDER...\n");
    for (size_t i = 0; i < paths.count; i++)
        free(paths.items[i]);
    free(paths.items);
    printf("%u passed, %u failed\n", passed, failed);
    return failed || !paths.count;
}
