/* Several loops ask for tokens and passwords while the files change under them. What holds throughout is let in, what never held is not;
 * ThreadSanitizer watches how snapshots and learnt digests are shared. */
#include "base/net/auth.h"

#include <crypt.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 4, RELOADS = 60, USERS = 8 };

static char tokens[] = "/tmp/spanmill-stress-tokens-XXXXXX", users[] = "/tmp/spanmill-stress-users-XXXXXX";
static char hashes[USERS][128];
static struct sm_auth *auth;
static _Atomic bool stop;
static _Atomic uint64_t asked;

static void write_file(const char *path, const char *text)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "w");
    SM_ASSERT(f && fputs(text, f) >= 0);
    fclose(f);
    SM_ASSERT(rename(fresh, path) == 0);
}

static void write_users(unsigned first)
{
    char text[4096] = "";
    for (unsigned i = 0; i < USERS; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "user%u:%s\n", (first + i) % USERS, hashes[(first + i) % USERS]);
    write_file(users, text);
}

static void make_hashes(void)
{
    struct crypt_data *data = calloc(1, sizeof *data);
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    for (unsigned i = 0; i < USERS; i++) {
        SM_ASSERT(crypt_gensalt_rn("$2y$", 4, NULL, 0, salt, sizeof salt));
        snprintf(hashes[i], sizeof hashes[i], "%s", crypt_r("pass", salt, data));
    }
    free(data);
}

/* user0:pass ... user7:pass */
static const char *const credentials[USERS] = {
    "Basic dXNlcjA6cGFzcw==", "Basic dXNlcjE6cGFzcw==", "Basic dXNlcjI6cGFzcw==", "Basic dXNlcjM6cGFzcw==",
    "Basic dXNlcjQ6cGFzcw==", "Basic dXNlcjU6cGFzcw==", "Basic dXNlcjY6cGFzcw==", "Basic dXNlcjc6cGFzcw==",
};

static void *ask(void *arg)
{
    struct sm_auth_port *port = sm_auth_port_new(auth);
    unsigned mine = (unsigned)(uintptr_t)arg;
    for (unsigned i = mine; !atomic_load(&stop); i++) {
        SM_ASSERT(sm_auth_port_ask(port, SM_STR("Bearer always")) == SM_AUTH_WELCOME);
        SM_ASSERT(sm_auth_port_ask(port, SM_STR("Bearer never")) == SM_AUTH_WRONG);
        SM_ASSERT(sm_auth_port_ask(port, sm_str_c(credentials[i % USERS])) == SM_AUTH_WELCOME);
        atomic_fetch_add(&asked, 3);
    }
    sm_auth_port_free(port);
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    struct sm_err err;
    SM_ASSERT(mkstemp(tokens) >= 0 && mkstemp(users) >= 0);
    make_hashes();
    write_file(tokens, "always\n");
    write_users(0);
    auth = sm_auth_new(tokens, users, &err);
    SM_ASSERT(auth);
    for (uintptr_t i = 0; i < THREADS; i++)
        SM_ASSERT(pthread_create(&threads[i], NULL, ask, (void *)i) == 0);
    for (unsigned i = 0; i < RELOADS; i++) {
        uint64_t before = atomic_load(&asked);
        write_file(tokens, i % 2 ? "always\n" : "another\nalways\n");
        write_users(i);
        SM_ASSERT(sm_auth_refresh(auth, false, &err) == SM_RELOAD_DONE);
        while (atomic_load(&asked) < before + 30)
            ;
    }
    atomic_store(&stop, true);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    printf("%llu answers, %llu passwords hashed\n", (unsigned long long)atomic_load(&asked),
           (unsigned long long)atomic_load(&sm_auth_counters(auth)->crypt_runs));
    bool few = atomic_load(&sm_auth_counters(auth)->crypt_runs) <= USERS * THREADS;
    sm_auth_free(auth);
    unlink(tokens);
    unlink(users);
    return !few;
}
