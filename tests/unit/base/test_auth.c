#include "base/net/auth.h"

#include "base/log.h"

#include <criterion/criterion.h>
#include <crypt.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64], tokens[96], users[96];

static void set_up(void)
{
    sm_log_setup(&(struct sm_log_config){.level = SM_LOG_ERROR, .fd = -1});
    snprintf(dir, sizeof dir, "/tmp/spanmill-auth-XXXXXX");
    cr_assert(mkdtemp(dir));
    snprintf(tokens, sizeof tokens, "%s/tokens", dir);
    snprintf(users, sizeof users, "%s/users", dir);
}

static void tear_down(void)
{
    unlink(tokens);
    unlink(users);
    rmdir(dir);
}

TestSuite(auth, .init = set_up, .fini = tear_down);

static void write_file(const char *path, const char *text)
{
    char fresh[128];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "w");
    cr_assert(f);
    fputs(text, f);
    fclose(f);
    cr_assert_eq(rename(fresh, path), 0);
}

/* name:hash, a line. */
static void hash_into(char *out, size_t size, const char *name, const char *password, const char *prefix, unsigned long count)
{
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data data = {0};
    cr_assert(crypt_gensalt_rn(prefix, count, NULL, 0, salt, sizeof salt));
    snprintf(out, size, "%s:%s\n", name, crypt_r(password, salt, &data));
}

static enum sm_auth_answer ask(struct sm_auth_port *port, const char *header)
{
    return sm_auth_port_ask(port, sm_str_c(header));
}

static enum sm_auth_answer ask_basic(struct sm_auth_port *port, const char *pair)
{
    char header[1024] = "Basic ";
    EVP_EncodeBlock((unsigned char *)header + 6, (const unsigned char *)pair, (int)strlen(pair));
    return ask(port, header);
}

static struct sm_auth *open_auth(const char *token_file, const char *user_file)
{
    struct sm_err err = {0};
    struct sm_auth *auth = sm_auth_new(token_file, user_file, &err);
    cr_assert(auth, "%s", err.text);
    return auth;
}

static void refresh(struct sm_auth *auth, bool forced)
{
    struct sm_err err;
    (void)sm_auth_refresh(auth, forced, &err);
}

static uint64_t crypt_runs(const struct sm_auth *auth)
{
    return atomic_load(&sm_auth_counters(auth)->crypt_runs);
}

Test(auth, tokens)
{
    write_file(tokens, "# of the shop\n\nalpha-0123456789\n  beta \r\n");
    struct sm_auth *auth = open_auth(tokens, NULL);
    struct sm_auth_port *port = sm_auth_port_new(auth);
    const struct {
        const char *header;
        enum sm_auth_answer answer;
    } cases[] = {
        {"Bearer alpha-0123456789", SM_AUTH_WELCOME},
        {"bearer beta", SM_AUTH_WELCOME},
        {"BEARER   beta  ", SM_AUTH_WELCOME},
        {"Bearer alpha-012345678", SM_AUTH_WRONG},
        {"Bearer alpha-01234567890", SM_AUTH_WRONG},
        {"Bearer Beta", SM_AUTH_WRONG},
        {"Bearer # of the shop", SM_AUTH_WRONG},
        {"Bearer ", SM_AUTH_WRONG},
        {"Bearer", SM_AUTH_MISSING},
        {"Bearerbeta", SM_AUTH_MISSING},
        {"beta", SM_AUTH_MISSING},
        {"", SM_AUTH_MISSING},
        {"Basic YTpi", SM_AUTH_MISSING}, /* not asked for */
        {"Digest beta", SM_AUTH_MISSING},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_assert_eq(ask(port, cases[i].header), cases[i].answer, "%s", cases[i].header);
    cr_assert_eq(sm_auth_port_ask(port, (struct sm_str){0}), SM_AUTH_MISSING);
    sm_auth_port_free(port);
    sm_auth_free(auth);
}

Test(auth, passwords_of_every_kind)
{
    char text[1024] = "", line[256];
    const struct {
        const char *name, *prefix;
        unsigned long cost;
    } kinds[] = {{"bcrypt", "$2y$", 4}, {"sha512", "$6$", 1000}, {"sha256", "$5$", 1000}, {"yescrypt", "$y$", 1}};
    for (size_t i = 0; i < SM_ARRAY_LEN(kinds); i++) {
        hash_into(line, sizeof line, kinds[i].name, "pass:word", kinds[i].prefix, kinds[i].cost);
        strcat(text, line);
    }
    write_file(users, text);
    struct sm_auth *auth = open_auth(NULL, users);
    struct sm_auth_port *port = sm_auth_port_new(auth);
    for (size_t i = 0; i < SM_ARRAY_LEN(kinds); i++) {
        char pair[64];
        snprintf(pair, sizeof pair, "%s:pass:word", kinds[i].name);
        cr_assert_eq(ask_basic(port, pair), SM_AUTH_WELCOME, "%s", pair);
        snprintf(pair, sizeof pair, "%s:pass:wor", kinds[i].name);
        cr_assert_eq(ask_basic(port, pair), SM_AUTH_WRONG, "%s", pair);
    }
    cr_assert_eq(ask_basic(port, "nobody:pass:word"), SM_AUTH_WRONG);
    cr_assert_eq(ask_basic(port, "bcrypt"), SM_AUTH_WRONG);
    cr_assert_eq(ask(port, "Basic !!!!"), SM_AUTH_WRONG);
    cr_assert_eq(ask(port, "Basic YTp"), SM_AUTH_WRONG);
    cr_assert_eq(ask(port, "Basic YmNyeXB0OnBhc3MAd29yZA=="), SM_AUTH_WRONG); /* a zero byte ends nothing */
    cr_assert_eq(ask(port, "Bearer x"), SM_AUTH_MISSING);
    sm_auth_port_free(port);
    sm_auth_free(auth);
}

Test(auth, a_password_is_hashed_once)
{
    char line[256];
    hash_into(line, sizeof line, "grafana", "secret", "$2y$", 4);
    write_file(users, line);
    struct sm_auth *auth = open_auth(NULL, users);
    struct sm_auth_port *first = sm_auth_port_new(auth), *second = sm_auth_port_new(auth);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(ask_basic(i % 2 ? first : second, "grafana:secret"), SM_AUTH_WELCOME);
    cr_assert_eq(crypt_runs(auth), 1);
    cr_assert_eq(ask_basic(first, "grafana:Secret"), SM_AUTH_WRONG); /* what is known of a user lets nobody else in */
    cr_assert_eq(crypt_runs(auth), 2);
    refresh(auth, true); /* the hash is the same: nothing to find out */
    cr_assert_eq(ask_basic(first, "grafana:secret"), SM_AUTH_WELCOME);
    cr_assert_eq(crypt_runs(auth), 2);
    hash_into(line, sizeof line, "grafana", "changed", "$2y$", 4);
    write_file(users, line);
    refresh(auth, false);
    cr_assert_eq(ask_basic(first, "grafana:secret"), SM_AUTH_WRONG);
    cr_assert_eq(ask_basic(second, "grafana:changed"), SM_AUTH_WELCOME);
    cr_assert_eq(crypt_runs(auth), 4);
    sm_auth_port_free(first);
    sm_auth_port_free(second);
    sm_auth_free(auth);
}

/* A flood of wrong passwords must not use up the processor, and those who are known come in meanwhile. */
Test(auth, wrong_passwords_are_bounded)
{
    char line[256];
    hash_into(line, sizeof line, "grafana", "secret", "$2y$", 9); /* some 20 ms */
    write_file(users, line);
    struct sm_auth *auth = open_auth(NULL, users);
    struct sm_auth_port *port = sm_auth_port_new(auth);
    cr_assert_eq(ask_basic(port, "grafana:secret"), SM_AUTH_WELCOME);
    unsigned wrong = 0, busy = 0;
    for (unsigned i = 0; i < 20000; i++) {
        char pair[64];
        snprintf(pair, sizeof pair, "%s:%u", i % 2 ? "grafana" : "nobody", i);
        enum sm_auth_answer answer = ask_basic(port, pair);
        wrong += answer == SM_AUTH_WRONG;
        busy += answer == SM_AUTH_BUSY;
    }
    cr_assert_eq(wrong + busy, 20000);
    cr_assert_geq(wrong, 1);
    cr_assert_leq(wrong, 1000);
    cr_assert_eq(crypt_runs(auth), 1 + wrong);
    cr_assert_eq(ask_basic(port, "grafana:secret"), SM_AUTH_WELCOME);
    sm_auth_port_free(port);
    sm_auth_free(auth);
}

Test(auth, files_are_replaced_while_it_runs)
{
    write_file(tokens, "one\n");
    struct sm_auth *auth = open_auth(tokens, NULL);
    const struct sm_auth_counters *c = sm_auth_counters(auth);
    struct sm_auth_port *port = sm_auth_port_new(auth);
    cr_assert_eq(ask(port, "Bearer one"), SM_AUTH_WELCOME);
    refresh(auth, false);
    cr_assert_eq(atomic_load(&c->reloads), 0);
    write_file(tokens, "two\n");
    cr_assert_eq(ask(port, "Bearer two"), SM_AUTH_WRONG);
    refresh(auth, false);
    cr_assert_eq(atomic_load(&c->reloads), 1);
    cr_assert_eq(ask(port, "Bearer one"), SM_AUTH_WRONG);
    cr_assert_eq(ask(port, "Bearer two"), SM_AUTH_WELCOME);
    write_file(tokens, "# nothing\n");
    refresh(auth, false);
    refresh(auth, false);
    cr_assert_eq(atomic_load(&c->reloads_failed), 1);
    cr_assert_eq(ask(port, "Bearer two"), SM_AUTH_WELCOME);
    unlink(tokens);
    refresh(auth, false);
    cr_assert_eq(atomic_load(&c->reloads_failed), 2);
    cr_assert_eq(ask(port, "Bearer two"), SM_AUTH_WELCOME);
    sm_auth_port_free(port);
    sm_auth_free(auth);
}

/* Errors name the place and never what stands there. */
Test(auth, files_that_cannot_be_used)
{
    const struct {
        const char *tokens, *users, *error;
    } cases[] = {
        {"good\nhush hush\n", NULL, "/tokens:2: not a token"},
        {"good\n\xc3\xa4hush\n", NULL, "/tokens:2: not a token"},
        {"# hush\n", NULL, "/tokens: holds no token"},
        {NULL, "hush\n", "/users:1: not name:hash"},
        {NULL, ":hush\n", "/users:1: not name:hash"},
        {NULL, "a:hush\n", "/users:1: the hash is of no kind"},
        {NULL, "\na:$apr1$hushhush$hushhush\n", "/users:2: the hash is of no kind"},
        {NULL, "a:$1$hush$hushhushhushhush\n", "/users:1: the hash is of no kind"},
        {NULL, "a:{SHA}hush\n", "/users:1: the hash is of no kind"},
        {NULL, "", "/users: holds no user"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        struct sm_err err = {0};
        if (cases[i].tokens)
            write_file(tokens, cases[i].tokens);
        if (cases[i].users)
            write_file(users, cases[i].users);
        cr_assert_null(sm_auth_new(cases[i].tokens ? tokens : NULL, cases[i].users ? users : NULL, &err), "%zu", i);
        cr_assert(strstr(err.text, cases[i].error), "%zu: %s", i, err.text);
        cr_assert_null(strstr(err.text, "hush"), "%s", err.text);
    }
    struct sm_err err = {0};
    cr_assert_null(sm_auth_new("/nowhere/tokens", NULL, &err));
    cr_assert(strstr(err.text, "/nowhere/tokens: No such file"), "%s", err.text);
}
