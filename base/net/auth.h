/* Who may ask: bearer tokens (RFC 6750) and basic authentication (RFC 7617), from files.
 *
 * A token file has one token a line. A user file has `name:hash` a line, with hashes of crypt(5) as `htpasswd -B` and
 * `mkpasswd` write them: bcrypt, yescrypt, SHA-512, SHA-256. Blank lines and lines that begin with # are skipped.
 *
 * Only digests of tokens and passwords are kept, made with a key that each process draws; they are compared in constant
 * time. A password is hashed by crypt once per user and hash, on the loop of whoever comes with it; after that its digest is
 * known. Wrong passwords are what crypt could be made to run for again and again, so the time that it may take for them is
 * bounded for the process: SM_AUTH_CRYPT_BURST_NS at once, 5 % of the time in the long run. Whoever comes beyond that is
 * asked to try again.
 *
 * One thread makes, refreshes and frees a struct sm_auth; any loop asks it through a port of its own. No lock and no memory
 * is taken for an answer, except for a password that was not seen before. */
#ifndef SM_NET_AUTH_H
#define SM_NET_AUTH_H

#include "base/base.h"
#include "base/file.h"

#include <stdatomic.h>

#define SM_AUTH_FILE_SIZE_MAX       (1 << 20)
#define SM_AUTH_CREDENTIAL_SIZE_MAX 4096 /* a token, or "name:password" */
#define SM_AUTH_CRYPT_BURST_NS      SM_SEC

struct sm_auth;
struct sm_auth_port;

enum sm_auth_answer {
    SM_AUTH_WELCOME,
    SM_AUTH_MISSING, /* no credentials, or of a kind that is not asked for */
    SM_AUTH_WRONG,
    SM_AUTH_BUSY,    /* too many wrong passwords at the moment: this one was not looked at */
};

struct sm_auth_counters {
    _Atomic uint64_t crypt_runs;
    _Atomic uint64_t reloads;
    _Atomic uint64_t reloads_failed;
};

/* `tokens`, `users`: paths, at least one is not NULL. NULL when a file cannot be used; *err says why and names the line, never
 * what stands in it. */
struct sm_auth *sm_auth_new(const char *tokens, const char *users, struct sm_err *err) SM_MUST_USE;
/* The maker's thread: reads the files again when they changed, or anyhow when `forced`; what cannot be used changes nothing,
 * and *err says why. */
enum sm_reload sm_auth_refresh(struct sm_auth *auth, bool forced, struct sm_err *err);
/* After the last port. NULL is allowed. */
void sm_auth_free(struct sm_auth *auth);
const struct sm_auth_counters *sm_auth_counters(const struct sm_auth *auth);

/* A loop's side; the loop's thread. */
struct sm_auth_port *sm_auth_port_new(struct sm_auth *auth) SM_MUST_USE;
void sm_auth_port_free(struct sm_auth_port *port);

/* `authorization`: the header's value, empty when there is none. */
enum sm_auth_answer sm_auth_port_ask(struct sm_auth_port *port, struct sm_str authorization) SM_MUST_USE;
/* What clients are asked for. */
bool sm_auth_port_takes_tokens(const struct sm_auth_port *port);
bool sm_auth_port_takes_users(const struct sm_auth_port *port);

#endif
