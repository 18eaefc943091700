/* Help and reference of the configuration. */
#include "app/config_help.h"
#include "app/config_key.h"

/* "default 15s, 10ms to 1h", "one of gzip, none" and so on. */
static void put_facts(const struct sm_config_key *key, struct sm_buf *out)
{
    if (key->type == SM_CONFIG_ENUM) {
        sm_buf_puts(out, ": ");
        for (const char *p = key->choices; *p; p++)
            if (*p == '|')
                sm_buf_puts(out, ", ");
            else
                sm_buf_putc(out, *p);
    } else if (key->type == SM_CONFIG_LIST) {
        sm_buf_printf(out, ", at most %s items", key->most);
    } else if (key->least && (key->type == SM_CONFIG_STRING || key->type == SM_CONFIG_PATH ||
                              key->type == SM_CONFIG_STRINGS || key->type == SM_CONFIG_HEADERS)) {
        sm_buf_printf(out, ", %s to %s bytes%s", key->least, key->most,
                      key->type == SM_CONFIG_STRINGS || key->type == SM_CONFIG_HEADERS ? " each" : "");
    } else if (key->least) {
        sm_buf_printf(out, ", %s to %s", key->least, key->most);
    }
}

static const char *fallback_text(const struct sm_config_key *key)
{
    return !key->fallback ? "required" : *key->fallback ? key->fallback : "unset";
}

static void put_wrapped(const char *text, size_t indent, struct sm_buf *out)
{
    enum { WIDTH = 100 };
    size_t column = indent;
    sm_buf_printf(out, "%*s", (int)indent, "");
    while (*text) {
        size_t len = strcspn(text, " ");
        if (column > indent && column + 1 + len > WIDTH) {
            sm_buf_printf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            sm_buf_putc(out, ' ');
            column++;
        }
        sm_buf_put(out, text, len);
        column += len;
        text += len + (text[len] == ' ');
    }
    sm_buf_putc(out, '\n');
}

static void put_key_text(const struct sm_config_key *key, struct sm_buf *out)
{
    sm_buf_printf(out, "  %s (%s", key->path, sm_config_type_name(key->type));
    put_facts(key, out);
    sm_buf_printf(out, "; %s%s)\n", key->fallback && *key->fallback ? "default " : "", fallback_text(key));
    put_wrapped(key->help, 6, out);
}

static bool topic_covers(const char *topic, const struct sm_config_key *key)
{
    size_t len = strlen(topic);
    return strncmp(key->path, topic, len) == 0 && (key->path[len] == '\0' || strchr(".[", key->path[len]) || len == 0);
}

bool sm_config_help_text(const char *topic, struct sm_buf *out)
{
    const struct sm_config_key *section = NULL;
    size_t before = out->size;
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (key->type == SM_CONFIG_SECTION) {
            section = key;
        } else if (topic_covers(topic, key)) {
            if (section) {
                sm_buf_printf(out, "%s%s%s", out->size > before ? "\n" : "", section->path, *section->path ? "\n" : "");
                put_wrapped(section->help, 0, out);
                section = NULL;
            }
            put_key_text(key, out);
        }
    }
    return out->size > before;
}

/* Text in a Markdown table: a bar would end the cell. */
static void put_cell(const char *text, struct sm_buf *out)
{
    for (; *text; text++) {
        if (*text == '|')
            sm_buf_putc(out, '\\');
        sm_buf_putc(out, *text);
    }
}

static void put_key_markdown(const struct sm_config_key *key, struct sm_buf *out)
{
    bool literal = key->fallback && *key->fallback;
    sm_buf_printf(out, "| `%s` | %s", key->path, sm_config_type_name(key->type));
    put_facts(key, out);
    sm_buf_printf(out, " | %s%s%s | ", literal ? "`" : "", fallback_text(key), literal ? "`" : "");
    put_cell(key->help, out);
    sm_buf_puts(out, " |\n");
}

static const char markdown_head[] =
    "# Configuration\n"
    "\n"
    "Written by `spanmill help config --markdown` from `app/config.def`; do not edit.\n"
    "\n"
    "`spanmill run` needs no configuration. Keys come from a YAML file (`-c FILE`) and from `--set KEY=VALUE`, which wins. Nested keys\n"
    "are written as nested maps in the file and with dots for `--set`; items of lists are addressed there by position or name, as in\n"
    "`--set sinks[backup].timeout=5s`. Values may contain `${NAME}` and `${NAME:-default}`, replaced from the environment; `$${`\n"
    "stands for a plain `${`; quote such values inside flow maps (`{key: '${NAME}'}`). `spanmill check FILE` names every problem with\n"
    "file, line and column.\n"
    "\n"
    "| type | written as |\n"
    "|---|---|\n"
    "| duration | `500ms`, `6s`, `1h30m`, `7d`; units ns, us, ms, s, m, h, d |\n"
    "| size | `4096`, `512KiB`, `64MiB`, `2GiB`; also kB, MB, GB, TB |\n"
    "| share | `10%` or `0.1` |\n"
    "| integer | `1000` or `1_000` |\n"
    "| address | `127.0.0.1:4318`, `[::1]:4318`, `:4318` for every interface, `unix:/run/spanmill.sock`, `off` |\n";

void sm_config_help_markdown(struct sm_buf *out)
{
    sm_buf_puts(out, markdown_head);
    for (size_t i = 0; i < sm_config_key_count; i++) {
        const struct sm_config_key *key = &sm_config_keys[i];
        if (key->type != SM_CONFIG_SECTION)
            put_key_markdown(key, out);
        else
            sm_buf_printf(out, "\n## %s\n\n%s\n\n| key | type | default | meaning |\n|---|---|---|---|\n",
                          *key->path ? key->path : "general", key->help);
    }
}
