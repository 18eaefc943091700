/* Tokens and passwords. */
#include "base/net/auth.h"

#include "base/clock.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

enum {
    DIGEST_BYTES = 32,
    KEY_BYTES = 32,
    TOKENS_MAX = 10000,
    USERS_MAX = 10000,
    CRYPT_SHARE = 20, /* one part in so many of the time may go into crypt for wrong passwords */
};

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

struct user {
    char *name, *hash;
    /* Of the name and password that crypt has found right; written once, then `verified` is set. */
    struct digest digest;
    _Atomic bool verified;
};

/* What the files held; immutable but for what users' entries learn. */
struct files {
    _Atomic uint32_t refs;
    struct digest *tokens;
    size_t tokens_n;
    struct user *users;
    size_t users_n;
};

struct sm_auth {
    char *tokens_path, *users_path; /* NULL: not asked for */
    _Atomic uint32_t refs;          /* the owner's and one per port */
    uint8_t key[KEY_BYTES];
    EVP_MD *sha256;
    struct sm_file_stamp tokens_seen, users_seen;
    pthread_mutex_t lock; /* guards `files`: per reload and port */
    struct files *files;
    _Atomic uint64_t generation;
    pthread_mutex_t credit_lock; /* guards what follows and the learning of digests: per password that was not seen before */
    int64_t credit_ns, credit_at_ns;
    _Atomic int64_t no_credit_before_ns; /* so that a flood is turned away without the lock */
    struct sm_auth_counters counters;
};

struct sm_auth_port {
    struct sm_auth *auth;
    struct files *files; /* of `generation` */
    uint64_t generation;
    EVP_MD_CTX *digester;
    struct crypt_data *crypt; /* made when it is needed */
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- digests ---- */

static struct digest digest_of(const struct sm_auth *auth, EVP_MD_CTX *digester, struct sm_str secret)
{
    struct digest d;
    bool ok = EVP_DigestInit_ex2(digester, auth->sha256, NULL) == 1 &&
              EVP_DigestUpdate(digester, auth->key, sizeof auth->key) == 1 &&
              EVP_DigestUpdate(digester, secret.ptr, secret.len) == 1 && EVP_DigestFinal_ex(digester, d.bytes, NULL) == 1;
    SM_ASSERT(ok);
    return d;
}

static bool digest_eq(const struct digest *a, const struct digest *b)
{
    return CRYPTO_memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* ---- files ---- */

static void files_put(struct files *f)
{
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < f->users_n; i++) {
        free(f->users[i].name);
        free(f->users[i].hash);
    }
    free(f->users);
    free(f->tokens);
    free(f);
}

/* The next line that says something; false at the end. */
static bool next_line(struct sm_str *rest, unsigned *number, struct sm_str *line)
{
    while (rest->len) {
        *line = sm_str_cut_line(rest);
        (*number)++;
        if (line->len && line->ptr[0] != '#')
            return true;
    }
    return false;
}

/* What a header can carry: printable, no space. */
static bool is_visible(struct sm_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    }
    return s.len > 0 && s.len <= SM_AUTH_CREDENTIAL_SIZE_MAX;
}

static enum sm_rc add_token(struct sm_auth *auth, EVP_MD_CTX *digester, struct files *f, struct sm_str line, struct sm_err *err)
{
    if (!is_visible(line))
        return sm_err_set(err, SM_E_INVALID, "not a token: printable characters without spaces, at most %d",
                          SM_AUTH_CREDENTIAL_SIZE_MAX);
    if (f->tokens_n == TOKENS_MAX)
        return sm_err_set(err, SM_E_LIMIT, "more than %d tokens", TOKENS_MAX);
    f->tokens = sm_xrealloc(f->tokens, (f->tokens_n + 1) * sizeof *f->tokens);
    f->tokens[f->tokens_n++] = digest_of(auth, digester, line);
    return SM_OK;
}

static struct user *find_user(const struct files *f, struct sm_str name)
{
    for (size_t i = 0; i < f->users_n; i++) {
        if (sm_str_eq(sm_str_c(f->users[i].name), name))
            return &f->users[i];
    }
    return NULL;
}

/* Not what is broken (MD5, DES) or unknown to crypt; SHA-256 counts as old there, but is not broken. */
static bool is_hash_taken(const char *hash)
{
    int verdict = crypt_checksalt(hash);
    return verdict == CRYPT_SALT_OK || (verdict == CRYPT_SALT_METHOD_LEGACY && strncmp(hash, "$5$", 3) == 0);
}

static enum sm_rc add_user(struct files *f, struct sm_str line, struct sm_err *err)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct sm_str name = sm_str(line.ptr, colon ? (size_t)(colon - line.ptr) : 0);
    if (!name.len || name.len > 256)
        return sm_err_set(err, SM_E_INVALID, "not name:hash");
    if (f->users_n == USERS_MAX)
        return sm_err_set(err, SM_E_LIMIT, "more than %d users", USERS_MAX);
    if (find_user(f, name))
        return sm_err_set(err, SM_E_INVALID, "the name stands further up, too");
    char *hash = sm_xstrndup(colon + 1, line.len - name.len - 1);
    if (!is_hash_taken(hash)) {
        free(hash);
        return sm_err_set(err, SM_E_INVALID, "the hash is of no kind that is taken; make it with htpasswd -B or mkpasswd");
    }
    f->users = sm_xrealloc(f->users, (f->users_n + 1) * sizeof *f->users);
    f->users[f->users_n++] = (struct user){.name = sm_xstrndup(name.ptr, name.len), .hash = hash};
    return SM_OK;
}

static enum sm_rc read_lines(struct sm_auth *auth, EVP_MD_CTX *digester, struct files *f, struct sm_str text, bool is_users,
                             const char *path, struct sm_err *err)
{
    struct sm_err why;
    struct sm_str line;
    unsigned number = 0;
    while (next_line(&text, &number, &line)) {
        enum sm_rc rc = is_users ? add_user(f, line, &why) : add_token(auth, digester, f, line, &why);
        if (rc != SM_OK)
            return sm_err_set(err, rc, "%s:%u: %s", path, number, why.text);
    }
    if (is_users ? !f->users_n : !f->tokens_n)
        return sm_err_set(err, SM_E_INVALID, "%s: holds no %s", path, is_users ? "user" : "token");
    return SM_OK;
}

static enum sm_rc read_file(struct sm_auth *auth, EVP_MD_CTX *digester, struct files *f, const char *path, bool is_users,
                            struct sm_err *err)
{
    struct sm_buf text = {0};
    if (!path)
        return SM_OK;
    enum sm_rc rc = sm_file_read(path, SM_AUTH_FILE_SIZE_MAX, &text, err);
    if (rc == SM_OK)
        rc = read_lines(auth, digester, f, sm_buf_str(&text), is_users, path, err);
    if (text.data)
        explicit_bzero(text.data, text.capacity);
    sm_buf_fini(&text);
    return rc;
}

static void learn(struct user *user, const struct digest *digest)
{
    if (atomic_load_explicit(&user->verified, memory_order_relaxed))
        return;
    user->digest = *digest;
    atomic_store_explicit(&user->verified, true, memory_order_release);
}

/* What is known of users whose hash is the same as before need not be found out again. */
static void keep_what_is_known(struct files *f, const struct files *former)
{
    for (size_t i = 0; former && i < former->users_n; i++) {
        const struct user *was = &former->users[i];
        struct user *is = find_user(f, sm_str_c(was->name));
        if (is && atomic_load_explicit(&was->verified, memory_order_acquire) && strcmp(is->hash, was->hash) == 0)
            learn(is, &was->digest);
    }
}

/* Stamps are taken before the files are read: what changes meanwhile is read again next time. */
static enum sm_rc load(struct sm_auth *auth, struct sm_err *err)
{
    struct files *f = sm_xcalloc(1, sizeof *f);
    EVP_MD_CTX *digester = EVP_MD_CTX_new();
    SM_ASSERT(digester);
    f->refs = 1;
    auth->tokens_seen = sm_file_stamp(auth->tokens_path);
    auth->users_seen = sm_file_stamp(auth->users_path);
    enum sm_rc rc = read_file(auth, digester, f, auth->tokens_path, false, err);
    if (rc == SM_OK)
        rc = read_file(auth, digester, f, auth->users_path, true, err);
    EVP_MD_CTX_free(digester);
    if (rc != SM_OK) {
        files_put(f);
        return rc;
    }
    keep_what_is_known(f, auth->files);
    pthread_mutex_lock(&auth->lock);
    struct files *former = auth->files;
    auth->files = f;
    atomic_fetch_add_explicit(&auth->generation, 1, memory_order_release);
    pthread_mutex_unlock(&auth->lock);
    files_put(former);
    return SM_OK;
}

/* ---- life ---- */

static void unref(struct sm_auth *auth)
{
    if (atomic_fetch_sub_explicit(&auth->refs, 1, memory_order_acq_rel) > 1)
        return;
    files_put(auth->files);
    pthread_mutex_destroy(&auth->lock);
    pthread_mutex_destroy(&auth->credit_lock);
    EVP_MD_free(auth->sha256);
    explicit_bzero(auth->key, sizeof auth->key);
    free(auth->tokens_path);
    free(auth->users_path);
    free(auth);
}

static char *copy_text(const char *text)
{
    return text ? sm_xstrndup(text, strlen(text)) : NULL;
}

struct sm_auth *sm_auth_new(const char *tokens, const char *users, struct sm_err *err)
{
    struct sm_auth *auth = sm_xcalloc(1, sizeof *auth);
    auth->tokens_path = copy_text(tokens);
    auth->users_path = copy_text(users);
    auth->refs = 1;
    auth->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    auth->credit_ns = SM_AUTH_CRYPT_BURST_NS;
    auth->credit_at_ns = sm_clock_mono_ns();
    pthread_mutex_init(&auth->lock, NULL);
    pthread_mutex_init(&auth->credit_lock, NULL);
    SM_ASSERT(auth->sha256 && RAND_bytes(auth->key, sizeof auth->key) == 1);
    if (load(auth, err) == SM_OK)
        return auth;
    unref(auth);
    return NULL;
}

enum sm_reload sm_auth_refresh(struct sm_auth *auth, bool forced, struct sm_err *err)
{
    struct sm_file_stamp tokens = sm_file_stamp(auth->tokens_path), users = sm_file_stamp(auth->users_path);
    if (!forced && sm_file_stamp_eq(&tokens, &auth->tokens_seen) && sm_file_stamp_eq(&users, &auth->users_seen))
        return SM_RELOAD_NOTHING;
    bool loaded = load(auth, err) == SM_OK;
    count(loaded ? &auth->counters.reloads : &auth->counters.reloads_failed);
    return loaded ? SM_RELOAD_DONE : SM_RELOAD_FAILED;
}

void sm_auth_free(struct sm_auth *auth)
{
    if (auth)
        unref(auth);
}

const struct sm_auth_counters *sm_auth_counters(const struct sm_auth *auth)
{
    return &auth->counters;
}

struct sm_auth_port *sm_auth_port_new(struct sm_auth *auth)
{
    struct sm_auth_port *port = sm_xcalloc(1, sizeof *port);
    port->auth = auth;
    port->digester = EVP_MD_CTX_new();
    SM_ASSERT(port->digester);
    atomic_fetch_add_explicit(&auth->refs, 1, memory_order_relaxed);
    return port;
}

void sm_auth_port_free(struct sm_auth_port *port)
{
    if (!port)
        return;
    files_put(port->files);
    EVP_MD_CTX_free(port->digester);
    if (port->crypt)
        explicit_bzero(port->crypt, sizeof *port->crypt);
    free(port->crypt);
    unref(port->auth);
    free(port);
}

bool sm_auth_port_takes_tokens(const struct sm_auth_port *port)
{
    return port->auth->tokens_path != NULL;
}

bool sm_auth_port_takes_users(const struct sm_auth_port *port)
{
    return port->auth->users_path != NULL;
}

static void take_newest_files(struct sm_auth_port *port)
{
    struct sm_auth *auth = port->auth;
    if (SM_LIKELY(port->files && atomic_load_explicit(&auth->generation, memory_order_acquire) == port->generation))
        return;
    pthread_mutex_lock(&auth->lock);
    files_put(port->files);
    port->files = auth->files;
    port->generation = atomic_load_explicit(&auth->generation, memory_order_relaxed);
    atomic_fetch_add_explicit(&port->files->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&auth->lock);
}

/* ---- tokens ---- */

/* All are compared, whatever is found. */
static enum sm_auth_answer ask_token(struct sm_auth_port *port, struct sm_str token)
{
    const struct files *f = port->files;
    bool found = false;
    if (!f->tokens_n)
        return SM_AUTH_MISSING;
    if (!token.len || token.len > SM_AUTH_CREDENTIAL_SIZE_MAX)
        return SM_AUTH_WRONG;
    struct digest given = digest_of(port->auth, port->digester, token);
    for (size_t i = 0; i < f->tokens_n; i++)
        found |= digest_eq(&given, &f->tokens[i]);
    return found ? SM_AUTH_WELCOME : SM_AUTH_WRONG;
}

/* ---- passwords ---- */

/* Whether a password may be hashed now. */
static bool has_credit(struct sm_auth *auth)
{
    int64_t now_ns = sm_clock_mono_ns();
    if (now_ns < atomic_load_explicit(&auth->no_credit_before_ns, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&auth->credit_lock);
    auth->credit_ns = SM_MIN(SM_AUTH_CRYPT_BURST_NS, auth->credit_ns + (now_ns - auth->credit_at_ns) / CRYPT_SHARE);
    auth->credit_at_ns = now_ns;
    bool has_some = auth->credit_ns > 0;
    pthread_mutex_unlock(&auth->credit_lock);
    return has_some;
}

/* Wrong passwords are charged the time that they took; right ones are learnt. */
static void settle(struct sm_auth *auth, struct user *user, const struct digest *given, bool right, int64_t took_ns)
{
    pthread_mutex_lock(&auth->credit_lock);
    if (right) {
        learn(user, given);
    } else {
        auth->credit_ns -= took_ns;
        if (auth->credit_ns <= 0)
            atomic_store_explicit(&auth->no_credit_before_ns, sm_clock_mono_ns() - auth->credit_ns * CRYPT_SHARE,
                                  memory_order_relaxed);
    }
    pthread_mutex_unlock(&auth->credit_lock);
}

/* A name that is not there takes as long as one that is. */
static bool run_crypt(struct sm_auth_port *port, const struct user *user, const char *password)
{
    const struct user *measured = user ? user : &port->files->users[0];
    if (!port->crypt)
        port->crypt = sm_xcalloc(1, sizeof *port->crypt);
    count(&port->auth->counters.crypt_runs);
    const char *hash = crypt_r(password, measured->hash, port->crypt);
    size_t n = strlen(measured->hash);
    return hash && strlen(hash) == n && CRYPTO_memcmp(hash, measured->hash, n) == 0 && user;
}

static bool is_verified(const struct user *user, const struct digest *given)
{
    return user && atomic_load_explicit(&user->verified, memory_order_acquire) && digest_eq(&user->digest, given);
}

static enum sm_auth_answer ask_crypt(struct sm_auth_port *port, struct user *user, const struct digest *given, const char *password)
{
    if (!has_credit(port->auth))
        return SM_AUTH_BUSY;
    int64_t start_ns = sm_clock_mono_ns();
    bool right = run_crypt(port, user, password);
    settle(port->auth, user, given, right, sm_clock_mono_ns() - start_ns);
    return right ? SM_AUTH_WELCOME : SM_AUTH_WRONG;
}

/* `pair` is "name:password", terminated. */
static enum sm_auth_answer ask_pair(struct sm_auth_port *port, char *pair, size_t len)
{
    char *colon = memchr(pair, ':', len);
    if (!colon || strlen(pair) != len)
        return SM_AUTH_WRONG;
    struct user *user = find_user(port->files, sm_str(pair, (size_t)(colon - pair)));
    struct digest given = digest_of(port->auth, port->digester, sm_str(pair, len));
    if (SM_LIKELY(is_verified(user, &given)))
        return SM_AUTH_WELCOME;
    return ask_crypt(port, user, &given, colon + 1);
}

static enum sm_auth_answer ask_basic(struct sm_auth_port *port, struct sm_str encoded)
{
    unsigned char pair[SM_AUTH_CREDENTIAL_SIZE_MAX + 4];
    if (!port->files->users_n)
        return SM_AUTH_MISSING;
    if (!encoded.len || encoded.len % 4 || encoded.len / 4 * 3 > SM_AUTH_CREDENTIAL_SIZE_MAX)
        return SM_AUTH_WRONG;
    int n = EVP_DecodeBlock(pair, (const unsigned char *)encoded.ptr, (int)encoded.len);
    if (n < 0)
        return SM_AUTH_WRONG;
    n -= encoded.ptr[encoded.len - 1] == '='; /* the decoder counts padding */
    n -= encoded.ptr[encoded.len - 2] == '=';
    pair[n] = '\0';
    enum sm_auth_answer answer = ask_pair(port, (char *)pair, (size_t)n);
    explicit_bzero(pair, (size_t)n);
    return answer;
}

/* ---- the header ---- */

/* "Scheme rest"; the scheme in any case. */
static bool take_scheme(struct sm_str *value, const char *scheme)
{
    size_t n = strlen(scheme);
    if (value->len <= n || strncasecmp(value->ptr, scheme, n) != 0 || value->ptr[n] != ' ')
        return false;
    *value = sm_str_trim(sm_str(value->ptr + n, value->len - n));
    return true;
}

enum sm_auth_answer sm_auth_port_ask(struct sm_auth_port *port, struct sm_str authorization)
{
    enum sm_auth_answer answer = SM_AUTH_MISSING;
    take_newest_files(port);
    if (take_scheme(&authorization, "bearer"))
        answer = ask_token(port, authorization);
    else if (take_scheme(&authorization, "basic"))
        answer = ask_basic(port, authorization);
    return answer;
}
