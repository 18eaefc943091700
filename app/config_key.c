/* app/config.def as a table. */
#include "app/config_key.h"
#include "app/config.h"
#include "base/nearest.h"

/* A key whose member has another C type than its configuration type says does not compile. */
#define MEMBER_IS(member, ...)     _Generic((member), __VA_ARGS__, default : 0)
#define MEMBER_OF_BOOL(member)     MEMBER_IS(member, bool : 1)
#define MEMBER_OF_INT(member)      MEMBER_IS(member, uint32_t : 1, uint64_t : 1)
#define MEMBER_OF_NUMBER(member)   MEMBER_IS(member, double : 1)
#define MEMBER_OF_RATIO(member)    MEMBER_IS(member, double : 1)
#define MEMBER_OF_SIZE(member)     MEMBER_IS(member, uint64_t : 1)
#define MEMBER_OF_AMOUNT(member)   MEMBER_IS(member, struct sm_config_amount : 1)
#define MEMBER_OF_DURATION(member) MEMBER_IS(member, int64_t : 1)
#define MEMBER_OF_STRING(member)   MEMBER_IS(member, char * : 1)
#define MEMBER_OF_PATH(member)     MEMBER_IS(member, char * : 1)
#define MEMBER_OF_ADDRESS(member)  MEMBER_IS(member, char * : 1)
#define MEMBER_OF_ENDPOINT(member) MEMBER_IS(member, char * : 1)
#define MEMBER_OF_QUERY(member)    MEMBER_IS(member, struct sm_config_query : 1)
#define MEMBER_OF_STRINGS(member)  MEMBER_IS(member, struct sm_config_strings : 1)
#define MEMBER_OF_HEADERS(member)  MEMBER_IS(member, struct sm_config_headers : 1)

#define SM_CONF_SECTION(path, text)
#define SM_CONF(owner, path, TYPE, member, fallback, least, most, help)                                                \
    _Static_assert(MEMBER_OF_##TYPE(((owner *)0)->member), path);
#define SM_CONF_ENUM(owner, path, member, fallback, choices, help)                                                     \
    _Static_assert(sizeof(((owner *)0)->member) == sizeof(unsigned), path);
#define SM_CONF_LIST(owner, path, member, item, most, help)                                                            \
    _Static_assert(MEMBER_IS(((owner *)0)->member.items, item * : 1) &&                                                \
                       sizeof(((owner *)0)->member) == sizeof(struct sm_config_strings),                               \
                   path);
#include "app/config.def"
#undef SM_CONF_SECTION
#undef SM_CONF
#undef SM_CONF_ENUM
#undef SM_CONF_LIST

#define MEMBER_SIZE(owner, member) sizeof(((owner *)0)->member)

const struct sm_config_key sm_config_keys[] = {
#define SM_CONF_SECTION(path, text) {path, SM_CONFIG_SECTION, 0, 0, NULL, NULL, NULL, NULL, text},
#define SM_CONF(owner, path, TYPE, member, fallback, least, most, help)                                                \
    {path, SM_CONFIG_##TYPE, offsetof(owner, member), MEMBER_SIZE(owner, member), fallback, least, most, NULL, help},
#define SM_CONF_ENUM(owner, path, member, fallback, choices, help)                                                     \
    {path, SM_CONFIG_ENUM, offsetof(owner, member), MEMBER_SIZE(owner, member), fallback, NULL, NULL, choices, help},
#define SM_CONF_LIST(owner, path, member, item, most, help)                                                            \
    {path, SM_CONFIG_LIST, offsetof(owner, member), sizeof(item), "", NULL, #most, NULL, help},
#include "app/config.def"
#undef SM_CONF_SECTION
#undef SM_CONF
#undef SM_CONF_ENUM
#undef SM_CONF_LIST
};

const size_t sm_config_key_count = SM_ARRAY_LEN(sm_config_keys);

const char *sm_config_type_name(enum sm_config_type type)
{
    static const char *const names[] = {
        [SM_CONFIG_SECTION] = "section",      [SM_CONFIG_BOOL] = "true or false",
        [SM_CONFIG_INT] = "integer",          [SM_CONFIG_NUMBER] = "number",
        [SM_CONFIG_RATIO] = "share",          [SM_CONFIG_SIZE] = "size",
        [SM_CONFIG_AMOUNT] = "size or share", [SM_CONFIG_DURATION] = "duration",
        [SM_CONFIG_STRING] = "text",          [SM_CONFIG_PATH] = "path",
        [SM_CONFIG_ADDRESS] = "address",      [SM_CONFIG_ENDPOINT] = "ZeroMQ endpoint",
        [SM_CONFIG_ENUM] = "choice",
        [SM_CONFIG_QUERY] = "query",          [SM_CONFIG_STRINGS] = "list of texts",
        [SM_CONFIG_HEADERS] = "map of texts", [SM_CONFIG_LIST] = "list",
    };
    return names[type];
}

const struct sm_config_key *sm_config_key_find(struct sm_str path)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (key->type != SM_CONFIG_SECTION && sm_str_eq(sm_str_c(key->path), path))
            return key;
    }
    return NULL;
}

bool sm_config_key_is_section(struct sm_str path)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        struct sm_str known = sm_str_c(sm_config_keys[i].path);
        if (known.len > path.len && known.ptr[path.len] == '.' && memcmp(known.ptr, path.ptr, path.len) == 0)
            return true;
    }
    return false;
}

const char *sm_config_key_in_item(const struct sm_config_key *key)
{
    const char *item = strstr(key->path, "[].");
    return item ? item + 3 : key->path;
}

bool sm_config_key_below(const struct sm_config_key *key, struct sm_str prefix)
{
    return key->type != SM_CONFIG_SECTION && strncmp(key->path, prefix.ptr, prefix.len) == 0 &&
           !strchr(key->path + prefix.len, '[');
}

enum { NAMES_MAX = 64, NAME_SIZE = 40 };

struct names {
    char text[NAMES_MAX][NAME_SIZE];
    const char *list[NAMES_MAX];
    size_t n;
};

static void add_name(struct names *names, struct sm_str name)
{
    for (size_t i = 0; i < names->n; i++)
        if (sm_str_eq(sm_str_c(names->text[i]), name))
            return;
    if (names->n == NAMES_MAX || name.len >= NAME_SIZE)
        return;
    memcpy(names->text[names->n], name.ptr, name.len);
    names->text[names->n][name.len] = '\0';
    names->list[names->n] = names->text[names->n];
    names->n++;
}

/* The names that may stand directly below the prefix. */
static void names_below(struct sm_str prefix, struct names *names)
{
    names->n = 0;
    for (size_t i = 0; i < sm_config_key_count; i++) {
        if (!sm_config_key_below(&sm_config_keys[i], prefix))
            continue;
        const char *rest = sm_config_keys[i].path + prefix.len;
        add_name(names, sm_str(rest, strcspn(rest, ".")));
    }
}

/* A key elsewhere whose last part is this name. */
static const struct sm_config_key *same_name_elsewhere(struct sm_str name)
{
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const char *path = sm_config_keys[i].path, *dot = strrchr(path, '.');
        if (sm_config_keys[i].type != SM_CONFIG_SECTION && sm_str_eq(sm_str_c(dot ? dot + 1 : path), name))
            return &sm_config_keys[i];
    }
    return NULL;
}

static void list_names(const struct names *names, char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "; valid here: ");
    for (size_t i = 0; i < names->n && len < size; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%s", i ? ", " : "", names->list[i]);
}

void sm_config_key_advice(struct sm_str prefix, struct sm_str name, char *text, size_t size)
{
    struct names names;
    names_below(prefix, &names);
    const char *nearest = sm_nearest(name, names.list, names.n);
    const struct sm_config_key *elsewhere = same_name_elsewhere(name);
    if (nearest)
        snprintf(text, size, "; did you mean \"%s\"?", nearest);
    else if (sm_config_key_find(name) && prefix.len == 0)
        snprintf(text, size, "; write the parts of \"%.*s\" as nested maps", SM_STR_ARG(name));
    else if (elsewhere)
        snprintf(text, size, "; did you mean \"%s\"?", elsewhere->path);
    else
        list_names(&names, text, size);
}
