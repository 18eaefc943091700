/* Reading strategies, writing replies. */
#include "ingest/sampling_file.h"

#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What a file does not say, as in Jaeger: for services that it does not name without a default_strategy, and for operations without a
 * strategy of a service that is limited by rate. */
#define PROBABILITY_DEFAULT 0.001

struct operation {
    char *name;
    double probability;
};

struct strategy {
    char *service; /* NULL: the default */
    bool rate_limiting;
    double param;
    struct operation *operations;
    size_t operation_count;
};

struct strategies {
    struct strategy *items;
    size_t count;
    struct strategy otherwise;
};

struct sm_sampling_file {
    char *path; /* NULL: no file */
    struct stat read; /* of the file as it was last read, whether it was good or not */
    struct strategies strategies;
};

/* ---- reading ---- */

static void strategy_fini(struct strategy *s)
{
    free(s->service);
    for (size_t i = 0; i < s->operation_count; i++)
        free(s->operations[i].name);
    free(s->operations);
}

static void strategies_fini(struct strategies *s)
{
    for (size_t i = 0; i < s->count; i++)
        strategy_fini(&s->items[i]);
    free(s->items);
    strategy_fini(&s->otherwise);
}

static char *read_text(struct sm_json *j)
{
    struct sm_json_text text;
    if (!sm_json_string(j, &text))
        return NULL;
    char *out = sm_xmalloc(text.len + 1); /* escapes are never shorter than what they mean */
    size_t n = text.escaped ? sm_json_unescape(&text, (uint8_t *)out) : text.len;
    if (!text.escaped)
        memcpy(out, text.ptr, text.len);
    out[n] = '\0';
    return out;
}

static void read_operations(struct sm_json *j, struct strategy *s);

/* A strategy of a service, an operation, or the default: their members are the same. */
static void read_strategy(struct sm_json *j, struct strategy *s, char **name)
{
    struct sm_json_text key;
    struct sm_json_number number;
    *s = (struct strategy){.param = 1};
    for (bool more = sm_json_object(j, &key); more; more = sm_json_member(j, &key)) {
        if ((sm_json_is(&key, "service") || sm_json_is(&key, "operation")) && name && !*name) {
            *name = read_text(j);
        } else if (sm_json_is(&key, "type")) {
            char *type = read_text(j);
            s->rate_limiting = type && strcmp(type, "ratelimiting") == 0;
            if (type && !s->rate_limiting && strcmp(type, "probabilistic") != 0)
                sm_json_fail(j, "expected the type probabilistic or ratelimiting");
            free(type);
        } else if (sm_json_is(&key, "param")) {
            if (sm_json_number(j, &number))
                s->param = sm_json_number_double(&number);
        } else if (sm_json_is(&key, "operation_strategies") && !s->operations) {
            read_operations(j, s);
        } else {
            sm_json_skip(j);
        }
    }
    if (!j->error && (s->param < 0 || (!s->rate_limiting && s->param > 1)))
        sm_json_fail(j, "expected a probability between 0 and 1, or a rate");
}

/* Only probabilities: Jaeger's clients know no rates of operations. */
static void read_operations(struct sm_json *j, struct strategy *s)
{
    if (sm_json_null(j))
        return;
    for (bool more = sm_json_array(j); more; more = sm_json_element(j)) {
        struct strategy operation;
        char *name = NULL;
        read_strategy(j, &operation, &name);
        strategy_fini(&operation);
        if (j->error || !name || operation.rate_limiting) {
            free(name);
            continue;
        }
        s->operations = sm_xrealloc(s->operations, (s->operation_count + 1) * sizeof *s->operations);
        s->operations[s->operation_count++] = (struct operation){name, operation.param};
    }
}

static void read_services(struct sm_json *j, struct strategies *s)
{
    if (sm_json_null(j))
        return;
    for (bool more = sm_json_array(j); more; more = sm_json_element(j)) {
        struct strategy strategy;
        char *service = NULL;
        read_strategy(j, &strategy, &service);
        strategy.service = service;
        s->items = sm_xrealloc(s->items, (s->count + 1) * sizeof *s->items);
        s->items[s->count++] = strategy;
        if (!service)
            sm_json_fail(j, "expected the member service");
    }
}

static void read_default(struct sm_json *j, struct strategy *s)
{
    if (!sm_json_null(j))
        read_strategy(j, s, NULL);
}

static enum sm_rc parse(struct sm_str text, struct strategies *s, struct sm_err *err)
{
    struct sm_json j = sm_json_reader(text.ptr, text.len, SM_JSON_DEPTH_DEFAULT);
    struct sm_json_text key;
    *s = (struct strategies){.otherwise.param = PROBABILITY_DEFAULT};
    for (bool more = sm_json_object(&j, &key); more; more = sm_json_member(&j, &key)) {
        if (sm_json_is(&key, "service_strategies") && !s->items)
            read_services(&j, s);
        else if (sm_json_is(&key, "default_strategy") && !s->otherwise.operations)
            read_default(&j, &s->otherwise);
        else
            sm_json_skip(&j);
    }
    return sm_json_end(&j, err);
}

static enum sm_rc read_all(const char *path, struct sm_buf *out, struct sm_err *err)
{
    char chunk[16384];
    size_t n;
    FILE *file = fopen(path, "re");
    if (!file)
        return sm_err_set(err, SM_E_IO, "%s", strerror(errno));
    while (out->size <= SM_SAMPLING_FILE_SIZE_MAX && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        sm_buf_put(out, chunk, n);
    bool failed = ferror(file);
    fclose(file);
    if (failed)
        return sm_err_set(err, SM_E_IO, "cannot be read");
    return out->size > SM_SAMPLING_FILE_SIZE_MAX ? sm_err_set(err, SM_E_LIMIT, "larger than 1 MiB") : SM_OK;
}

static enum sm_rc load(struct sm_sampling_file *f, struct sm_err *err)
{
    struct sm_buf text = {0};
    struct strategies fresh = {0};
    enum sm_rc rc = read_all(f->path, &text, err);
    if (rc == SM_OK)
        rc = parse(sm_buf_str(&text), &fresh, err);
    sm_buf_fini(&text);
    if (rc != SM_OK) {
        strategies_fini(&fresh);
        return rc;
    }
    strategies_fini(&f->strategies);
    f->strategies = fresh;
    return SM_OK;
}

struct sm_sampling_file *sm_sampling_file_open(const char *path, struct sm_err *err)
{
    struct sm_err why;
    struct sm_sampling_file *f = sm_xcalloc(1, sizeof *f);
    f->strategies.otherwise.param = 1;
    if (!path)
        return f;
    f->path = sm_xstrndup(path, strlen(path));
    if (stat(path, &f->read) == 0 && load(f, &why) == SM_OK)
        return f;
    if (stat(path, &f->read) != 0)
        (void)sm_err_set(err, SM_E_IO, "sampling.file: %s: %s", path, strerror(errno));
    else
        (void)sm_err_set(err, why.rc, "sampling.file: %s: %s", path, why.text);
    sm_sampling_file_close(f);
    return NULL;
}

void sm_sampling_file_close(struct sm_sampling_file *f)
{
    if (!f)
        return;
    strategies_fini(&f->strategies);
    free(f->path);
    free(f);
}

void sm_sampling_file_refresh(struct sm_sampling_file *f)
{
    struct stat now;
    struct sm_err err;
    if (!f->path || stat(f->path, &now) != 0)
        return;
    if (now.st_mtim.tv_sec == f->read.st_mtim.tv_sec && now.st_mtim.tv_nsec == f->read.st_mtim.tv_nsec &&
        now.st_size == f->read.st_size && now.st_ino == f->read.st_ino)
        return;
    f->read = now;
    if (load(f, &err) != SM_OK)
        sm_log(SM_LOG_WARN, "sampling_file_wrong", sm_kv("file", f->path), sm_kv("reason", err.text),
               sm_kv("hint", "the rates stay as they were"));
}

/* ---- writing ---- */

/* The last one counts of several for a service. */
static const struct strategy *find(const struct strategies *s, struct sm_str service)
{
    for (size_t i = s->count; i > 0; i--) {
        if (sm_str_eq(sm_str_c(s->items[i - 1].service), service))
            return &s->items[i - 1];
    }
    return &s->otherwise;
}

static bool has_operation(const struct strategy *s, const char *name)
{
    for (size_t i = 0; i < s->operation_count; i++) {
        if (strcmp(s->operations[i].name, name) == 0)
            return true;
    }
    return false;
}

/* For operations without a strategy: what their service has, or where that is a rate and it names no operations, the default. */
static double probability_of_others(const struct strategy *s, const struct strategy *otherwise)
{
    const struct strategy *source = s->rate_limiting && !s->operation_count ? otherwise : s;
    return source->rate_limiting ? PROBABILITY_DEFAULT : source->param;
}

static void put_operations(struct sm_strategy *out, const struct strategy *s, const struct strategy *otherwise)
{
    if (!s->operation_count && !otherwise->operation_count)
        return;
    sm_strategy_operations(out, probability_of_others(s, otherwise), 0);
    for (size_t i = 0; i < s->operation_count; i++)
        sm_strategy_operation(out, sm_str_c(s->operations[i].name), s->operations[i].probability);
    for (size_t i = 0; s != otherwise && i < otherwise->operation_count; i++) {
        if (!has_operation(s, otherwise->operations[i].name))
            sm_strategy_operation(out, sm_str_c(otherwise->operations[i].name), otherwise->operations[i].probability);
    }
}

bool sm_sampling_file_names(const struct sm_sampling_file *f, struct sm_str service)
{
    return find(&f->strategies, service) != &f->strategies.otherwise;
}

void sm_sampling_file_put(const struct sm_sampling_file *f, struct sm_str service, enum sm_strategy_form form, struct sm_buf *out)
{
    const struct strategy *s = find(&f->strategies, service);
    struct sm_strategy reply;
    if (s->rate_limiting)
        sm_strategy_rate(&reply, form, out, s->param);
    else
        sm_strategy_probability(&reply, form, out, s->param);
    put_operations(&reply, s, &f->strategies.otherwise);
    sm_strategy_end(&reply);
}
