/* Secrets: copied in, wiped on the way out. */
#include "base/secret.h"

#include <stdlib.h>

void sm_secret_set(struct sm_secret *secret, struct sm_str text)
{
    char *copy = sm_xstrndup(text.ptr, text.len);
    sm_secret_fini(secret);
    secret->hidden = copy;
}

struct sm_str sm_secret_reveal(const struct sm_secret *secret)
{
    return secret->hidden ? sm_str_c(secret->hidden) : SM_STR("");
}

void sm_secret_fini(struct sm_secret *secret)
{
    if (secret->hidden)
        explicit_bzero(secret->hidden, strlen(secret->hidden));
    free(secret->hidden);
    secret->hidden = NULL;
}
