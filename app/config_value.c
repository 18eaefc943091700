/* Parsers for the types of configuration values. */
#include "app/config_value.h"
#include "app/config.h"
#include "base/nearest.h"
#include "base/net/unix_socket.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>

/* ---- numbers ---- */

/* A decimal number: whole + fraction / scale. */
struct decimal {
    uint64_t whole, fraction, scale;
};

enum { FRACTION_DIGITS_MAX = 12 };

static bool is_digit(struct sm_str s, size_t i)
{
    return i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9';
}

/* Digits, single "_" between them, and optionally "." and digits. Returns how many bytes it read, 0 for none or
 * overflow. */
static size_t read_decimal(struct sm_str s, struct decimal *d)
{
    *d = (struct decimal){.scale = 1};
    size_t i = 0;
    for (; is_digit(s, i) || (i > 0 && i < s.len && s.ptr[i] == '_' && is_digit(s, i + 1)); i++) {
        if (s.ptr[i] == '_')
            continue;
        if (__builtin_mul_overflow(d->whole, 10, &d->whole) ||
            __builtin_add_overflow(d->whole, (uint64_t)(s.ptr[i] - '0'), &d->whole))
            return 0;
    }
    if (i == 0 || i >= s.len || s.ptr[i] != '.')
        return i;
    size_t digits = 0;
    for (i++; is_digit(s, i); i++, digits++) {
        if (digits == FRACTION_DIGITS_MAX)
            return 0;
        d->fraction = d->fraction * 10 + (uint64_t)(s.ptr[i] - '0');
        d->scale *= 10;
    }
    return digits ? i : 0;
}

static bool scale_decimal(const struct decimal *d, uint64_t unit, uint64_t *out)
{
    uint64_t part = (uint64_t)((unsigned __int128)d->fraction * unit / d->scale);
    return !__builtin_mul_overflow(d->whole, unit, out) && !__builtin_add_overflow(*out, part, out);
}

static double decimal_to_real(const struct decimal *d)
{
    return (double)d->whole + (double)d->fraction / (double)d->scale;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit *find_unit(const struct unit *units, size_t n, struct sm_str name)
{
    for (size_t i = 0; i < n; i++)
        if (sm_str_eq(sm_str_c(units[i].name), name))
            return &units[i];
    return NULL;
}

static enum sm_rc not_a(struct sm_err *err, struct sm_str text, const char *what, const char *example)
{
    return sm_err_set(err, SM_E_INVALID, "\"%.*s\" is not %s; write for example %s", (int)SM_MIN(text.len, (size_t)80),
                      text.ptr, what, example);
}

static enum sm_rc read_int(struct sm_str text, uint64_t *out, struct sm_err *err)
{
    struct decimal d;
    if (text.len == 0 || read_decimal(text, &d) != text.len || d.scale != 1)
        return not_a(err, text, "an integer", "1000 or 1_000");
    *out = d.whole;
    return SM_OK;
}

static enum sm_rc read_size(struct sm_str text, uint64_t *out, struct sm_err *err)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KiB", SM_KIB},
        {"MiB", SM_MIB},
        {"GiB", SM_GIB},
        {"TiB", SM_GIB << 10},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", UINT64_C(1000000000000)},
    };
    struct decimal d;
    size_t n = read_decimal(text, &d);
    const struct unit *unit = find_unit(units, SM_ARRAY_LEN(units), sm_str(text.ptr + n, text.len - n));
    if (n == 0 || !unit || !scale_decimal(&d, unit->factor, out))
        return not_a(err, text, "a size", "512KiB, 64MiB or 2GiB");
    return SM_OK;
}

static const struct unit duration_units[] = {
    {"ns", 1},          {"us", 1000},         {"ms", 1000000},       {"s", SM_SEC},
    {"m", 60 * SM_SEC}, {"h", 3600 * SM_SEC}, {"d", 86400 * SM_SEC},
};

static enum sm_rc read_duration(struct sm_str text, uint64_t *out, struct sm_err *err)
{
    uint64_t sum = 0;
    struct sm_str rest = text;
    if (sm_str_eq(text, SM_STR("0")))
        rest.len = 0;
    else if (text.len == 0)
        return not_a(err, text, "a duration", "500ms, 6s, 1h30m or 7d");
    while (rest.len) {
        struct decimal d;
        uint64_t part;
        size_t n = read_decimal(rest, &d), letters = 0;
        while (n + letters < rest.len && isalpha((unsigned char)rest.ptr[n + letters]))
            letters++;
        const struct unit *unit =
            find_unit(duration_units, SM_ARRAY_LEN(duration_units), sm_str(rest.ptr + n, letters));
        if (n == 0 || !unit || !scale_decimal(&d, unit->factor, &part) || __builtin_add_overflow(sum, part, &sum) ||
            sum > INT64_MAX)
            return not_a(err, text, "a duration", "500ms, 6s, 1h30m or 7d");
        rest = sm_str(rest.ptr + n + letters, rest.len - n - letters);
    }
    *out = sum;
    return SM_OK;
}

enum sm_rc sm_config_value_duration(struct sm_str text, int64_t *ns, struct sm_err *err)
{
    uint64_t natural;
    enum sm_rc rc = read_duration(text, &natural, err);
    if (rc == SM_OK)
        *ns = (int64_t)natural; /* read_duration keeps it in range */
    return rc;
}

static enum sm_rc read_number(struct sm_str text, double *out, struct sm_err *err)
{
    struct decimal d;
    if (text.len == 0 || read_decimal(text, &d) != text.len)
        return not_a(err, text, "a number", "100 or 0.5");
    *out = decimal_to_real(&d);
    return SM_OK;
}

static bool is_percent(struct sm_str text)
{
    return text.len && text.ptr[text.len - 1] == '%';
}

static enum sm_rc read_ratio(struct sm_str text, double *out, struct sm_err *err)
{
    struct decimal d;
    size_t digits = text.len - is_percent(text);
    if (digits == 0 || read_decimal(sm_str(text.ptr, digits), &d) != digits)
        return not_a(err, text, "a share", "10% or 0.1");
    *out = decimal_to_real(&d) / (is_percent(text) ? 100 : 1);
    if (*out > 1)
        return not_a(err, text, "a share of at most 100%", "10% or 0.1");
    return SM_OK;
}

/* ---- ranges ---- */

static enum sm_rc out_of_range(const struct sm_config_key *key, struct sm_str text, struct sm_err *err)
{
    return sm_err_set(err, SM_E_INVALID, "%.*s is out of range (%s to %s)", (int)SM_MIN(text.len, (size_t)80), text.ptr,
                      key->least, key->most);
}

/* How a number or its range is read. */
typedef enum sm_rc (*read_natural_fn)(struct sm_str text, uint64_t *out, struct sm_err *err);
typedef enum sm_rc (*read_real_fn)(struct sm_str text, double *out, struct sm_err *err);

static uint64_t natural_bound(read_natural_fn read, const char *bound)
{
    uint64_t value = 0;
    enum sm_rc rc = read(sm_str_c(bound), &value, NULL);
    SM_ASSERT(rc == SM_OK);
    return value;
}

static enum sm_rc parse_natural(const struct sm_config_key *key, read_natural_fn read, struct sm_str text,
                                uint64_t *out, struct sm_err *err)
{
    enum sm_rc rc = read(text, out, err);
    if (rc)
        return rc;
    if (*out < natural_bound(read, key->least) || *out > natural_bound(read, key->most))
        return out_of_range(key, text, err);
    return SM_OK;
}

static double real_bound(read_real_fn read, const char *bound)
{
    double value = 0;
    enum sm_rc rc = read(sm_str_c(bound), &value, NULL);
    SM_ASSERT(rc == SM_OK);
    return value;
}

static enum sm_rc parse_real(const struct sm_config_key *key, read_real_fn read, struct sm_str text, double *out,
                             struct sm_err *err)
{
    double value = 0;
    enum sm_rc rc = read(text, &value, err);
    if (rc)
        return rc;
    if (value < real_bound(read, key->least) || value > real_bound(read, key->most))
        return out_of_range(key, text, err);
    *out = value;
    return SM_OK;
}

/* ---- types ---- */

static enum sm_rc parse_bool(struct sm_str text, bool *out, struct sm_err *err)
{
    bool yes = sm_str_eq(text, SM_STR("true"));
    if (!yes && !sm_str_eq(text, SM_STR("false")))
        return sm_err_set(err, SM_E_INVALID, "\"%.*s\" is neither true nor false", (int)SM_MIN(text.len, (size_t)80),
                          text.ptr);
    *out = yes;
    return SM_OK;
}

static enum sm_rc parse_natural_member(const struct sm_config_key *key, read_natural_fn read, struct sm_str text,
                                       void *member, struct sm_err *err)
{
    uint64_t value = 0;
    enum sm_rc rc = parse_natural(key, read, text, &value, err);
    if (rc)
        return rc;
    if (key->size == sizeof(uint32_t))
        *(uint32_t *)member = (uint32_t)value;
    else
        *(uint64_t *)member = value;
    return SM_OK;
}

static enum sm_rc parse_amount(const struct sm_config_key *key, struct sm_str text, struct sm_config_amount *out,
                               struct sm_err *err)
{
    struct sm_config_amount amount = {0};
    enum sm_rc rc = is_percent(text) ? read_ratio(text, &amount.share, err)
                                     : parse_natural(key, read_size, text, &amount.bytes, err);
    if (rc)
        return rc;
    if (is_percent(text) && amount.share <= 0)
        return sm_err_set(err, SM_E_INVALID, "%.*s is too little", SM_STR_ARG(text));
    *out = amount;
    return SM_OK;
}

static bool is_port(struct sm_str text)
{
    uint64_t port = 0;
    return text.len <= 5 && read_int(text, &port, NULL) == SM_OK && port <= 65535;
}

static bool is_host_name(struct sm_str host)
{
    if (host.len > 253)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (!isalnum((unsigned char)host.ptr[i]) && !strchr("-._", host.ptr[i]))
            return false;
    return true;
}

static bool is_ipv6(struct sm_str host)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr addr;
    if (host.len >= sizeof text)
        return false;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET6, text, &addr) == 1;
}

/* "host:port", "[v6]:port", ":port", "*:port". */
static bool is_address(struct sm_str text)
{
    const char *colon = text.len ? memrchr(text.ptr, ':', text.len) : NULL;
    if (!colon)
        return false;
    struct sm_str host = sm_str(text.ptr, (size_t)(colon - text.ptr));
    if (!is_port(sm_str(colon + 1, text.len - host.len - 1)))
        return false;
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        return is_ipv6(sm_str(host.ptr + 1, host.len - 2));
    return sm_str_eq(host, SM_STR("*")) || is_host_name(host);
}

/* "unix:PATH"; the configuration's texts have no zero bytes. */
static bool is_unix_address(struct sm_str text)
{
    struct sm_str scheme = SM_STR("unix:");
    return text.len > scheme.len && text.len - scheme.len <= SM_UNIX_PATH_MAX &&
           memcmp(text.ptr, scheme.ptr, scheme.len) == 0 && !memchr(text.ptr, '\0', text.len);
}

static void replace_text(char **member, struct sm_str text)
{
    free(*member);
    *member = sm_xstrndup(text.ptr, text.len);
}

static bool turned_off(struct sm_str text, char **member)
{
    if (text.len && !sm_str_eq(text, SM_STR("off")) && !sm_str_eq(text, SM_STR("false")))
        return false;
    free(*member);
    *member = NULL;
    return true;
}

static enum sm_rc parse_address(struct sm_str text, char **member, struct sm_err *err)
{
    if (turned_off(text, member))
        return SM_OK;
    if (!is_address(text) && !is_unix_address(text))
        return not_a(err, text, "an address", "127.0.0.1:4318, [::1]:4318, :4318, unix:/run/spanmill.sock or off");
    replace_text(member, text);
    return SM_OK;
}

static enum sm_rc parse_endpoint(struct sm_str text, char **member, struct sm_err *err)
{
    if (turned_off(text, member))
        return SM_OK;
    if (!sm_zeromq_is_endpoint(text))
        return not_a(err, text, "a ZeroMQ endpoint", "tcp://127.0.0.1:5570, ipc:///run/spanmill.sock, connect:tcp://host:5570 or off");
    replace_text(member, text);
    return SM_OK;
}

enum sm_rc sm_config_value_check_text(const struct sm_config_key *key, struct sm_str text, struct sm_err *err)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return sm_err_set(err, SM_E_INVALID, "contains the control character 0x%02x", (unsigned char)text.ptr[i]);
    if (text.len == 0 && natural_bound(read_int, key->least) > 0)
        return sm_err_set(err, SM_E_INVALID, "must not be empty");
    if (text.len < natural_bound(read_int, key->least) || text.len > natural_bound(read_int, key->most))
        return sm_err_set(err, SM_E_INVALID, "has %zu bytes, not %s to %s", text.len, key->least, key->most);
    return SM_OK;
}

static enum sm_rc parse_text(const struct sm_config_key *key, struct sm_str text, char **member, struct sm_err *err)
{
    enum sm_rc rc = sm_config_value_check_text(key, text, err);
    if (!rc)
        replace_text(member, text);
    return rc;
}

enum { CHOICES_MAX = 16, CHOICE_SIZE = 32 };

static enum sm_rc parse_enum(const struct sm_config_key *key, struct sm_str text, unsigned *out, struct sm_err *err)
{
    char names[CHOICES_MAX][CHOICE_SIZE];
    const char *list[CHOICES_MAX], *choice = key->choices;
    unsigned n = 0;
    for (size_t len; *choice && n < CHOICES_MAX; choice += len + (choice[len] == '|'), n++) {
        len = strcspn(choice, "|");
        if (sm_str_eq(sm_str(choice, len), text)) {
            *out = n;
            return SM_OK;
        }
        list[n] = names[n];
        snprintf(names[n], CHOICE_SIZE, "%.*s", (int)len, choice);
    }
    const char *nearest = sm_nearest(text, list, n);
    return sm_err_set(err, SM_E_INVALID, "\"%.*s\" is none of %s%s%s%s", (int)SM_MIN(text.len, (size_t)80), text.ptr,
                      key->choices, nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static enum sm_rc parse_query(struct sm_str text, struct sm_config_query *query)
{
    replace_text(&query->text, text);
    free(query->places);
    query->places = NULL;
    return SM_OK;
}

enum sm_rc sm_config_value_parse(const struct sm_config_key *key, struct sm_str text, void *member, struct sm_err *err)
{
    switch (key->type) {
    case SM_CONFIG_BOOL:
        return parse_bool(text, member, err);
    case SM_CONFIG_INT:
        return parse_natural_member(key, read_int, text, member, err);
    case SM_CONFIG_SIZE:
        return parse_natural_member(key, read_size, text, member, err);
    case SM_CONFIG_DURATION:
        return parse_natural_member(key, read_duration, text, member, err);
    case SM_CONFIG_NUMBER:
        return parse_real(key, read_number, text, member, err);
    case SM_CONFIG_RATIO:
        return parse_real(key, read_ratio, text, member, err);
    case SM_CONFIG_AMOUNT:
        return parse_amount(key, text, member, err);
    case SM_CONFIG_STRING:
    case SM_CONFIG_PATH:
        return parse_text(key, text, member, err);
    case SM_CONFIG_ADDRESS:
        return parse_address(text, member, err);
    case SM_CONFIG_ENDPOINT:
        return parse_endpoint(text, member, err);
    case SM_CONFIG_ENUM:
        return parse_enum(key, text, member, err);
    case SM_CONFIG_QUERY:
        return parse_query(text, member);
    case SM_CONFIG_SECTION:
    case SM_CONFIG_STRINGS:
    case SM_CONFIG_HEADERS:
    case SM_CONFIG_LIST:
        break;
    }
    return sm_err_set(err, SM_E_INVALID, "needs a %s", sm_config_type_name(key->type));
}

void sm_config_value_default(const struct sm_config_key *key, void *member)
{
    if (!key->fallback || !*key->fallback) {
        if (key->type == SM_CONFIG_NUMBER || key->type == SM_CONFIG_RATIO)
            *(double *)member = -1;
        return;
    }
    struct sm_err err;
    enum sm_rc rc = sm_config_value_parse(key, sm_str_c(key->fallback), member, &err);
    SM_ASSERT(rc == SM_OK);
}

static void strings_fini(struct sm_config_strings *strings)
{
    for (size_t i = 0; i < strings->n; i++)
        free(strings->items[i]);
    free(strings->items);
}

static void headers_fini(struct sm_config_headers *headers)
{
    for (size_t i = 0; i < headers->n; i++) {
        free(headers->items[i].name);
        sm_secret_fini(&headers->items[i].value);
    }
    free(headers->items);
}

void sm_config_value_fini(const struct sm_config_key *key, void *member)
{
    switch (key->type) {
    case SM_CONFIG_STRING:
    case SM_CONFIG_PATH:
    case SM_CONFIG_ADDRESS:
    case SM_CONFIG_ENDPOINT:
        free(*(char **)member);
        break;
    case SM_CONFIG_QUERY:
        free(((struct sm_config_query *)member)->text);
        free(((struct sm_config_query *)member)->places);
        break;
    case SM_CONFIG_STRINGS:
        strings_fini(member);
        break;
    case SM_CONFIG_HEADERS:
        headers_fini(member);
        break;
    case SM_CONFIG_LIST:
        free(((struct sm_config_rules *)member)->items);
        memset(member, 0, sizeof(struct sm_config_rules));
        return;
    default:
        break;
    }
    memset(member, 0, key->size);
}
