/* CURVE keys from files (RFC 26, CurveZMQ; keys as in RFC 32, Z85).
 *
 * A file of keys has one key of 40 characters per line, or lines `public-key = "..."` and `secret-key = "..."` as in the certificates of
 * czmq; anything else is passed over. A directory stands for all files in it. */
#ifndef SM_ZEROMQ_KEYS_H
#define SM_ZEROMQ_KEYS_H

#include "base/base.h"

#define SM_ZEROMQ_KEY_BYTES      32
#define SM_ZEROMQ_KEYS_MAX       10000
#define SM_ZEROMQ_FILE_BYTES_MAX (1 << 20)

/* The secret key that a file has: `secret-key`, or the only key. SM_E_INVALID without one. The caller wipes it. */
enum sm_rc sm_zeromq_secret_key(const char *path, uint8_t key[SM_ZEROMQ_KEY_BYTES], struct sm_err *err) SM_MUST_USE;

struct sm_zeromq_keys;

/* The public keys in a file or directory. NULL after filling *err when it cannot be read or has no key. */
struct sm_zeromq_keys *sm_zeromq_keys_new(const char *path, struct sm_err *err) SM_MUST_USE;
void sm_zeromq_keys_free(struct sm_zeromq_keys *keys);
size_t sm_zeromq_keys_count(const struct sm_zeromq_keys *keys);

/* Is the key among them? What was read is good for a moment by this clock, then it is read again; when there is nothing to read, nobody is
 * let in. */
bool sm_zeromq_keys_allow(struct sm_zeromq_keys *keys, const uint8_t key[SM_ZEROMQ_KEY_BYTES], int64_t mono_ns);

#endif
