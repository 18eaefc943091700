/* Interpolation of environment variables. */
#include "app/config_env.h"

#include <ctype.h>
#include <stdlib.h>

enum { ENV_NAME_MAX = 128 };

static bool starts_with(struct sm_str text, struct sm_str prefix)
{
    return text.len >= prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0;
}

static struct sm_str skip(struct sm_str text, size_t n)
{
    return sm_str(text.ptr + n, text.len - n);
}

static size_t name_length(struct sm_str text)
{
    size_t n = 0;
    while (n < text.len && (isalnum((unsigned char)text.ptr[n]) || text.ptr[n] == '_') &&
           !(n == 0 && isdigit((unsigned char)text.ptr[0])))
        n++;
    return n;
}

/* `inside` is what stands between the braces. */
static enum sm_rc expand_one(struct sm_str inside, struct sm_buf *out, struct sm_err *err)
{
    char name[ENV_NAME_MAX + 1];
    size_t n = name_length(inside);
    struct sm_str rest = skip(inside, n);
    bool has_default = starts_with(rest, SM_STR(":-"));
    if (n == 0 || n > ENV_NAME_MAX || (rest.len && !has_default))
        return sm_err_set(err, SM_E_INVALID,
                          "\"${%.*s}\" is not a variable; write ${NAME}, ${NAME:-default} or $${ for a plain ${",
                          (int)SM_MIN(inside.len, (size_t)40), inside.ptr);
    memcpy(name, inside.ptr, n);
    name[n] = '\0';
    const char *value = getenv(name);
    if (has_default && (!value || !*value)) {
        sm_buf_put_str(out, skip(rest, 2));
        return SM_OK;
    }
    if (!value)
        return sm_err_set(err, SM_E_INVALID, "environment variable %s is not set; set it or write ${%s:-default}", name,
                          name);
    sm_buf_puts(out, value);
    return SM_OK;
}

enum sm_rc sm_config_env_expand(struct sm_str text, struct sm_buf *out, struct sm_err *err)
{
    while (text.len) {
        if (starts_with(text, SM_STR("$${"))) {
            sm_buf_puts(out, "${");
            text = skip(text, 3);
        } else if (starts_with(text, SM_STR("${"))) {
            const char *close = memchr(text.ptr, '}', text.len);
            if (!close)
                return sm_err_set(err, SM_E_INVALID, "\"${\" without \"}\"; write $${ for a plain ${");
            size_t n = (size_t)(close - text.ptr);
            enum sm_rc rc = expand_one(sm_str(text.ptr + 2, n - 2), out, err);
            if (rc)
                return rc;
            text = skip(text, n + 1);
        } else {
            sm_buf_putc(out, text.ptr[0]);
            text = skip(text, 1);
        }
    }
    return SM_OK;
}
