/* libcurl's easy interface, and error bodies as text. */
#include "app/fetch.h"

#include "base/json.h"
#include "sinks/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>

struct sm_fetch {
    CURL *easy;
    char *no_proxy;
    long timeout_ms;
    const volatile sig_atomic_t *stop;
    char failure[CURL_ERROR_SIZE];
};

struct sm_fetch *sm_fetch_new(int64_t timeout_ns, const volatile sig_atomic_t *stop)
{
    SM_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    struct sm_fetch *f = sm_xcalloc(1, sizeof *f);
    f->easy = curl_easy_init();
    SM_ASSERT(f->easy);
    f->no_proxy = sm_http_client_no_proxy();
    f->timeout_ms = (long)(timeout_ns / SM_MS);
    f->stop = stop;
    return f;
}

void sm_fetch_free(struct sm_fetch *f)
{
    if (!f)
        return;
    curl_easy_cleanup(f->easy);
    free(f->no_proxy);
    free(f);
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct sm_buf *body = arg;
    sm_buf_put(body, bytes, size * n);
    return body->overflow ? 0 : size * n;
}

static int on_progress(void *arg, curl_off_t a SM_UNUSED, curl_off_t b SM_UNUSED, curl_off_t c SM_UNUSED,
                       curl_off_t d SM_UNUSED)
{
    const struct sm_fetch *f = arg;
    return f->stop && *f->stop;
}

static void present(struct sm_fetch *f)
{
    static const struct {
        const char *name;
        CURLoption option;
        long authentication; /* 0: none */
    } known[] = {
        {"SPANMILL_CA", CURLOPT_CAINFO, 0},
        {"SPANMILL_CERT", CURLOPT_SSLCERT, 0},
        {"SPANMILL_KEY", CURLOPT_SSLKEY, 0},
        {"SPANMILL_TOKEN", CURLOPT_XOAUTH2_BEARER, CURLAUTH_BEARER},
        {"SPANMILL_USER", CURLOPT_USERPWD, CURLAUTH_BASIC},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(known); i++) {
        const char *value = getenv(known[i].name);
        if (!value || !*value)
            continue;
        curl_easy_setopt(f->easy, known[i].option, value);
        if (known[i].authentication)
            curl_easy_setopt(f->easy, CURLOPT_HTTPAUTH, known[i].authentication);
    }
}

static void prepare(struct sm_fetch *f, const char *url, struct sm_fetch_reply *reply)
{
    curl_easy_reset(f->easy); /* connections stay */
    curl_easy_setopt(f->easy, CURLOPT_URL, url);
    curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(f->easy, CURLOPT_NOPROXY, f->no_proxy);
    curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "spanmill/" SM_VERSION);
    curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, f->timeout_ms);
    curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->failure);
    curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, &reply->body);
    curl_easy_setopt(f->easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(f->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(f->easy, CURLOPT_XFERINFODATA, f);
    present(f);
    reply->status = 0;
    reply->body.size_max = SM_FETCH_BODY_MAX;
    sm_buf_clear(&reply->body);
    f->failure[0] = '\0';
}

static enum sm_rc perform(struct sm_fetch *f, const char *url, struct sm_fetch_reply *reply, struct sm_err *err)
{
    CURLcode code = curl_easy_perform(f->easy);
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &reply->status);
    const char *why = f->failure[0] ? f->failure : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        return SM_OK;
    case CURLE_COULDNT_CONNECT:
        return sm_err_set(err, SM_E_CLOSED, "nothing listens at %s", url);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return sm_err_set(err, SM_E_INVALID, "\"%s\" is not the URL of an HTTP server", url);
    case CURLE_OPERATION_TIMEDOUT:
        return sm_err_set(err, SM_E_TIMEOUT, "no answer from %s within %ld s", url, f->timeout_ms / 1000);
    case CURLE_WRITE_ERROR:
        return sm_err_set(err, SM_E_LIMIT, "%s answers more than %llu MiB", url,
                          (unsigned long long)(SM_FETCH_BODY_MAX / SM_MIB));
    default:
        return sm_err_set(err, SM_E_IO, "%s: %s", url, why);
    }
}

enum sm_rc sm_fetch_get(struct sm_fetch *f, const char *url, struct sm_fetch_reply *reply, struct sm_err *err)
{
    prepare(f, url, reply);
    return perform(f, url, reply, err);
}

enum sm_rc sm_fetch_post(struct sm_fetch *f, const char *url, const char *content_type, struct sm_str body,
                         struct sm_fetch_reply *reply, struct sm_err *err)
{
    char header[128];
    snprintf(header, sizeof header, "Content-Type: %s", content_type);
    struct curl_slist *headers = curl_slist_append(NULL, header);
    headers = curl_slist_append(headers, "Expect:"); /* no waiting for 100 Continue */
    prepare(f, url, reply);
    curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
    curl_easy_setopt(f->easy, CURLOPT_POSTFIELDS, body.len ? body.ptr : "");
    enum sm_rc rc = perform(f, url, reply, err);
    curl_slist_free_all(headers);
    return rc;
}

/* ---- errors ---- */

/* The first string named like a message in a JSON object, at any depth. */
static bool find_message(struct sm_json *j, struct sm_json_text *found)
{
    struct sm_json_text key;
    bool has = false;
    if (sm_json_peek(j) == SM_JSON_ARRAY) {
        for (bool more = sm_json_array(j); more && !has; more = sm_json_element(j))
            has = find_message(j, found);
    } else if (sm_json_peek(j) == SM_JSON_OBJECT) {
        for (bool more = sm_json_object(j, &key); more && !has; more = sm_json_member(j, &key)) {
            bool named = sm_json_is(&key, "error") || sm_json_is(&key, "message") || sm_json_is(&key, "msg");
            if (named && sm_json_peek(j) == SM_JSON_STRING)
                has = sm_json_string(j, found);
            else
                has = find_message(j, found);
        }
    } else {
        sm_json_skip(j);
    }
    return has && !j->error;
}

void sm_fetch_error_text(const struct sm_fetch_reply *reply, char *text, size_t size)
{
    struct sm_str body = sm_buf_str(&reply->body);
    struct sm_json j = sm_json_reader(body.len ? body.ptr : "", body.len, SM_JSON_DEPTH_DEFAULT);
    struct sm_json_text found;
    uint8_t *plain = NULL;
    if (find_message(&j, &found)) {
        plain = sm_xmalloc(found.len + 1);
        size_t n = found.escaped ? sm_json_unescape(&found, plain) : found.len;
        if (!found.escaped)
            memcpy(plain, found.ptr, n);
        body = sm_str(plain, n);
    }
    size_t n = 0;
    for (; n < body.len && n + 1 < size && body.ptr[n] != '\n' && body.ptr[n] != '\r'; n++)
        text[n] = (unsigned char)body.ptr[n] < ' ' || body.ptr[n] == 0x7f ? '?' : body.ptr[n];
    text[n] = '\0';
    free(plain);
}
