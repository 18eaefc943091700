#include "base/log.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

static int64_t now_ns;
static int pipe_fds[2];

static int64_t fake_now(void)
{
    return now_ns;
}

static void setup_as(enum sm_log_format format, enum sm_log_level level)
{
    now_ns = INT64_C(1700000000123) * SM_MS;
    cr_assert_eq(pipe2(pipe_fds, O_NONBLOCK), 0);
    sm_log_setup(&(struct sm_log_config){.level = level, .format = format, .fd = pipe_fds[1], .now_ns = fake_now});
}

static void setup(void)
{
    setup_as(SM_LOG_LOGFMT, SM_LOG_INFO);
}

/* What was written since the last call. */
static const char *written(void)
{
    static char text[64 * 1024];
    size_t len = 0;
    ssize_t n;
    while ((n = read(pipe_fds[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

/* The value of k on a line that logs it. */
static const char *logged(struct sm_str value)
{
    now_ns += SM_LOG_SITE_WINDOW_NS;
    sm_log(SM_LOG_INFO, "e", sm_kv("k", value));
    return strstr(written(), " k=") + 3;
}

TestSuite(log, .init = setup);

Test(log, line_has_time_level_event_then_fields)
{
    const char *text = "ready";
    bool yes = true;
    sm_log(SM_LOG_WARN, "listening", sm_kv("state", text), sm_kv("port", (uint16_t)4318), sm_kv("delta", -5L),
           sm_kv("ratio", 0.25), sm_kv("tls", yes), sm_kv_ns("took", 1500 * SM_MS), sm_kv("view", SM_STR("abc")));
    cr_assert_str_eq(written(), "ts=2023-11-14T22:13:20.123Z level=warn event=listening state=ready port=4318 delta=-5 "
                                "ratio=0.25 tls=true took=1.5s view=abc\n");
}

Test(log, line_without_fields)
{
    sm_log(SM_LOG_ERROR, "stopped");
    cr_assert_str_eq(written(), "ts=2023-11-14T22:13:20.123Z level=error event=stopped\n");
}

Test(log, levels_below_the_set_one_are_silent)
{
    sm_log(SM_LOG_DEBUG, "detail");
    cr_assert_str_eq(written(), "");
    cr_assert(not(sm_log_enabled(SM_LOG_DEBUG)));
    cr_assert(sm_log_enabled(SM_LOG_INFO));
}

Test(log, plain_format_is_short)
{
    setenv("TZ", "UTC", 1);
    setup_as(SM_LOG_PLAIN, SM_LOG_DEBUG);
    sm_log(SM_LOG_DEBUG, "detail", sm_kv("n", 1u));
    cr_assert_str_eq(written(), "22:13:20 DEBUG detail n=1\n");
}

Test(log, auto_format_is_logfmt_when_not_on_a_terminal)
{
    setup_as(SM_LOG_AUTO, SM_LOG_INFO);
    sm_log(SM_LOG_INFO, "e");
    cr_assert_eq(strncmp(written(), "ts=", 3), 0);
}

Test(log, values_are_quoted_and_escaped)
{
    static const struct {
        struct sm_str value;
        const char *expected;
    } cases[] = {
        {SM_STR("plain-1.2:3/x"), "plain-1.2:3/x\n"},
        {SM_STR(""), "\"\"\n"},
        {{NULL, 0}, "\"\"\n"},
        {SM_STR("two words"), "\"two words\"\n"},
        {SM_STR("a=b"), "\"a=b\"\n"},
        {SM_STR("say \"hi\" \\o/"), "\"say \\\"hi\\\" \\\\o/\"\n"},
        {SM_STR("a\nb\tc\rd"), "\"a\\nb\\tc\\rd\"\n"},
        {SM_STR("nul\0esc\x1b[31m\x7f"), "\"nul\\x00esc\\x1b[31m\\x7f\"\n"},
        {SM_STR("bad\xff\xc3"), "\"bad\\xff\\xc3\"\n"},
        {SM_STR("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f\n"},
        {SM_STR("c1\xc2\x9b"), "\"c1\\xc2\\x9b\"\n"},
        {SM_STR("\xe2\x80\xae"), "\"\\xe2\\x80\\xae\"\n"},
        {SM_STR("\xe2\x80\xa8"), "\"\\xe2\\x80\\xa8\"\n"},
        {SM_STR("\xe2\x82\xac\xf0\x9f\x90\xbf"), "\xe2\x82\xac\xf0\x9f\x90\xbf\n"},
    };
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++)
        cr_expect_str_eq(logged(cases[i].value), cases[i].expected);
}

Test(log, durations_have_fitting_units)
{
    static const struct {
        int64_t ns;
        const char *expected;
    } cases[] = {{0, "0ns"}, {999, "999ns"}, {1500, "1.5us"}, {20 * SM_MS, "20ms"}, {-2 * SM_SEC, "-2s"}, {90 * SM_SEC, "90s"}};
    for (size_t i = 0; i < SM_ARRAY_LEN(cases); i++) {
        sm_log(SM_LOG_INFO, "e", sm_kv_ns("k", cases[i].ns));
        const char *value = strstr(written(), " k=") + 3;
        cr_expect_eq(strncmp(value, cases[i].expected, strlen(cases[i].expected)), 0, "%s", value);
    }
}

Test(log, long_values_are_cut_whole_and_closed)
{
    static char big[3 * SM_LOG_VALUE_MAX];
    memset(big, 'x', sizeof big);
    const char *value = logged(sm_str(big, sizeof big));
    cr_assert_eq(strlen(value), (size_t)SM_LOG_VALUE_MAX + 4);
    cr_assert_str_eq(value + SM_LOG_VALUE_MAX, "...\n");
    memset(big, '\n', sizeof big);
    value = logged(sm_str(big, sizeof big));
    cr_assert_str_eq(value + strlen(value) - 7, "\\n...\"\n");
}

Test(log, long_lines_stay_below_the_limit)
{
    static char big[SM_LOG_VALUE_MAX];
    memset(big, ' ', sizeof big);
    struct sm_str v = sm_str(big, sizeof big);
    sm_log(SM_LOG_INFO, "e", sm_kv("a", v), sm_kv("b", v), sm_kv("c", v), sm_kv("d", v), sm_kv("f", v), sm_kv("g", v));
    const char *line = written();
    cr_assert_leq(strlen(line), (size_t)SM_LOG_LINE_MAX);
    cr_assert_eq(strchr(line, '\n'), line + strlen(line) - 1);
    int quotes = 0;
    for (const char *p = line; *p; p++)
        quotes += *p == '"';
    cr_assert_eq(quotes % 2, 0);
}

static void noisy(int times)
{
    for (int i = 0; i < times; i++)
        sm_log(SM_LOG_INFO, "noise", sm_kv("i", i));
}

static int count_lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

Test(log, call_site_is_limited_and_counts)
{
    noisy(SM_LOG_SITE_LINES + 32);
    cr_assert_eq(count_lines(written()), SM_LOG_SITE_LINES);
    sm_log(SM_LOG_INFO, "other_site");
    cr_assert_eq(count_lines(written()), 1);
    now_ns += SM_LOG_SITE_WINDOW_NS;
    noisy(2);
    const char *text = written();
    cr_assert_eq(count_lines(text), 2);
    cr_assert_not_null(strstr(text, "event=noise i=0 suppressed=32\n"));
    cr_assert_not_null(strstr(text, "event=noise i=1\n"));
}

Test(log, finish_reports_what_was_held_back)
{
    noisy(SM_LOG_SITE_LINES + 3);
    written();
    sm_log_finish();
    cr_assert_not_null(strstr(written(), "event=log_lines_suppressed of=noise suppressed=3\n"));
    sm_log_finish();
    cr_assert_str_eq(written(), "");
}

Test(log, clock_stepping_back_does_not_silence)
{
    noisy(SM_LOG_SITE_LINES + 1);
    written();
    now_ns -= 1000 * SM_SEC;
    noisy(1);
    cr_assert_eq(count_lines(written()), 1);
}

static void *noisy_thread(void *arg)
{
    noisy(1000);
    return arg;
}

Test(log, lines_of_threads_do_not_mix)
{
    pthread_t threads[4];
    for (size_t i = 0; i < SM_ARRAY_LEN(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, noisy_thread, NULL), 0);
    for (size_t i = 0; i < SM_ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    sm_log_finish();
    char *text = strdup(written());
    for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        cr_expect_eq(strncmp(line, "ts=2023-11-14T22:13:20.123Z level=info event=", 45), 0, "%s", line);
    free(text);
}
