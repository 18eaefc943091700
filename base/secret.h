/* A string that must not be shown: tokens and passwords from the configuration. No printf format, log field or dump takes
 * it, so it can only get out by the one function that says so. Cold path. */
#ifndef SM_SECRET_H
#define SM_SECRET_H

#include "base/base.h"

struct sm_secret {
    char *hidden; /* terminated; NULL when unset */
};

/* Replaces *secret by a copy of the text. */
void sm_secret_set(struct sm_secret *secret, struct sm_str text);

/* The text itself, for the wire only: never for logs, errors, metrics or replies. Valid until the next set or fini. */
struct sm_str sm_secret_reveal(const struct sm_secret *secret);

/* Wipes and frees. */
void sm_secret_fini(struct sm_secret *secret);

#endif
