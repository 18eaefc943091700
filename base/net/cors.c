/* Origins and what they are told. */
#include "base/net/cors.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdlib.h>

struct sm_cors {
    char **origins;
    size_t origins_n;
    bool any_header;
    struct sm_buf headers; /* joined by commas */
    char max_age[24];
};

/* scheme://host[:port], "*" or "null", with at most one star. */
static bool is_pattern(const char *text)
{
    const char *host = strstr(text, "://");
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return true;
    if (!host || host == text || !host[3] || strlen(text) > 300)
        return false;
    const char *star = strchr(text, '*');
    return !strpbrk(host + 3, "/?#, \t") && (!star || (star > host && !strchr(star + 1, '*')));
}

/* A header's name, RFC 9110's token. */
static bool is_token(struct sm_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum((unsigned char)s.ptr[i]) && !memchr("!#$%&'*+-.^_`|~", s.ptr[i], 15))
            return false;
    }
    return s.len > 0 && s.len <= 100;
}

static enum sm_rc add_origin(struct sm_cors *cors, const char *origin, struct sm_err *err)
{
    if (!is_pattern(origin))
        return sm_err_set(err, SM_E_INVALID, "\"%.300s\" is no origin; write for example https://app.example.com or "
                                             "https://*.example.com",
                          origin);
    cors->origins = sm_xrealloc(cors->origins, (cors->origins_n + 1) * sizeof *cors->origins);
    cors->origins[cors->origins_n++] = sm_xstrndup(origin, strlen(origin));
    return SM_OK;
}

static enum sm_rc add_header(struct sm_cors *cors, const char *header, struct sm_err *err)
{
    if (!is_token(sm_str_c(header)))
        return sm_err_set(err, SM_E_INVALID, "\"%.100s\" is no header name", header);
    cors->any_header |= strcmp(header, "*") == 0;
    sm_buf_printf(&cors->headers, ", %s", header);
    return SM_OK;
}

struct sm_cors *sm_cors_new(const struct sm_cors_config *config, struct sm_err *err)
{
    struct sm_cors *cors = sm_xcalloc(1, sizeof *cors);
    enum sm_rc rc = SM_OK;
    sm_buf_puts(&cors->headers, "content-type, content-encoding, authorization");
    snprintf(cors->max_age, sizeof cors->max_age, "%lld", (long long)(config->max_age_ns / SM_SEC));
    for (size_t i = 0; i < config->origins_n && rc == SM_OK; i++)
        rc = add_origin(cors, config->origins[i], err);
    for (size_t i = 0; i < config->headers_n && rc == SM_OK; i++)
        rc = add_header(cors, config->headers[i], err);
    if (rc == SM_OK)
        return cors;
    sm_cors_free(cors);
    return NULL;
}

void sm_cors_free(struct sm_cors *cors)
{
    if (!cors)
        return;
    for (size_t i = 0; i < cors->origins_n; i++)
        free(cors->origins[i]);
    free(cors->origins);
    sm_buf_fini(&cors->headers);
    free(cors);
}

static bool fits_star(struct sm_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!isalnum((unsigned char)s.ptr[i]) && s.ptr[i] != '.' && s.ptr[i] != '-')
            return false;
    }
    return s.len > 0;
}

static bool fits(const char *pattern, struct sm_str origin)
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return sm_str_eq(sm_str_c(pattern), origin);
    size_t before = (size_t)(star - pattern), after = strlen(star + 1);
    return origin.len > before + after && memcmp(origin.ptr, pattern, before) == 0 &&
           memcmp(origin.ptr + origin.len - after, star + 1, after) == 0 &&
           fits_star(sm_str(origin.ptr + before, origin.len - before - after));
}

enum sm_cors_answer sm_cors_ask(const struct sm_cors *cors, struct sm_str origin)
{
    enum sm_cors_answer answer = SM_CORS_NO;
    for (size_t i = 0; i < cors->origins_n && origin.len; i++) {
        if (strcmp(cors->origins[i], "*") == 0)
            answer = SM_CORS_ANYBODY;
        else if (fits(cors->origins[i], origin))
            return SM_CORS_NAMED;
    }
    return answer;
}

/* Names, commas and spaces: it comes from outside and goes back into a header. */
static bool is_list_of_names(struct sm_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != ',' && s.ptr[i] != ' ' && !is_token(sm_str(s.ptr + i, 1)))
            return false;
    }
    return s.len > 0;
}

struct sm_str sm_cors_headers(const struct sm_cors *cors, struct sm_str asked)
{
    return cors->any_header && is_list_of_names(asked) ? asked : sm_buf_str(&cors->headers);
}

struct sm_str sm_cors_max_age(const struct sm_cors *cors)
{
    return sm_str_c(cors->max_age);
}
