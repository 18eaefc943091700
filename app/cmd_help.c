/* spanmill help */
#include "app/command.h"
#include "app/config_help.h"

#include "app/config_key.h"
#include "app/metrics_help.h"
#include "base/nearest.h"

#include <stdlib.h>

enum { OPTION_MARKDOWN };

static enum sm_exit no_such_key(const char *topic)
{
    const char **names = sm_xmalloc(sm_config_key_count * sizeof *names);
    for (size_t i = 0; i < sm_config_key_count; i++)
        names[i] = sm_config_keys[i].path;
    const char *nearest = sm_nearest(sm_str_c(topic), names, sm_config_key_count);
    fprintf(stderr, "spanmill help: there is no configuration key \"%s\"", topic);
    if (nearest)
        fprintf(stderr, "; did you mean \"%s\"?\n", nearest);
    else
        fprintf(stderr, "; see spanmill help config\n");
    free(names);
    return SM_EXIT_USAGE;
}

static void print(struct sm_buf *text)
{
    if (text->size)
        fwrite(text->data, 1, text->size, stdout);
    sm_buf_fini(text);
}

static enum sm_exit help_config(const char *topic, bool markdown)
{
    struct sm_buf text = {0};
    bool found = true;
    if (markdown)
        sm_config_help_markdown(&text);
    else
        found = sm_config_help_text(topic ? topic : "", &text);
    print(&text);
    return found ? SM_EXIT_OK : no_such_key(topic);
}

/* Pages that are written from tables. */
static const struct {
    const char *name;
    void (*text)(struct sm_buf *out);
    void (*markdown)(struct sm_buf *out);
} pages[] = {
    {"metrics", sm_metrics_help_text, sm_metrics_help_markdown},
    {"reasons", sm_metrics_help_reasons_text, sm_metrics_help_reasons_markdown},
};

static bool help_page(const char *name, bool markdown)
{
    struct sm_buf text = {0};
    for (size_t i = 0; i < SM_ARRAY_LEN(pages); i++) {
        if (strcmp(name, pages[i].name) == 0)
            (markdown ? pages[i].markdown : pages[i].text)(&text);
    }
    bool found = text.size > 0;
    print(&text);
    return found;
}

static enum sm_exit help_on(const char *name, const char *topic, bool markdown)
{
    if (strcmp(name, "config") == 0)
        return help_config(topic, markdown);
    if (help_page(name, markdown))
        return SM_EXIT_OK;
    const struct sm_command *command = sm_command_find(name);
    if (!command)
        return sm_command_unknown(name);
    sm_command_print_help(command, stdout);
    return SM_EXIT_OK;
}

static enum sm_exit run(struct sm_args *args)
{
    const char *operands[2] = {NULL};
    size_t n = 0;
    bool markdown = false;
    int option;
    while ((option = sm_args_next(args)) != SM_ARGS_END) {
        if (option == SM_ARGS_ERROR)
            return SM_EXIT_USAGE;
        if (option == OPTION_MARKDOWN)
            markdown = true;
        else if (n == SM_ARRAY_LEN(operands))
            return sm_args_usage(args, "too many operands");
        else
            operands[n++] = args->value;
    }
    if (operands[0])
        return help_on(operands[0], operands[1], markdown);
    sm_command_print_usage(stdout);
    return SM_EXIT_OK;
}

const struct sm_command sm_command_help = {
    .name = "help",
    .operands = "[SUBCOMMAND | config [KEY] | metrics | reasons]",
    .summary = "show help on a subcommand, on configuration keys, on metrics",
    .help = "`spanmill help config` lists every key with type, range, default and meaning; `spanmill help config windows` a part;\n"
            "`spanmill help metrics` every metric, `spanmill help reasons` what they count refusals and losses by.",
    .options = {[OPTION_MARKDOWN] = {"markdown", 0, NULL, "with config, metrics, reasons: write the reference page"}},
    .run = run,
};
