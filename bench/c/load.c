/* The clients: `load MODE PROXY ORIGIN COUNT [LIMIT] [BYTES]`; ports on 127.0.0.1, PROXY 0 for none.
 *
 *   gets    COUNT connections, kept alive; each asks again as soon as it has its answer, for LIMIT seconds.
 *           First each asks once; then a line "warm" is said and one from stdin waited for, and the time begins
 *   tunnels COUNT clients; each opens a tunnel, asks once through it, closes it, for LIMIT seconds
 *   bulk    COUNT tunnels at once, each brings BYTES; LIMIT seconds without a byte end it
 *   hold    takes orders, a line each: a number opens tunnels until so many are held, COUNT at most; "ask"
 *           asks through every one; LIMIT seconds without progress end an order
 *   check   as bulk, and every byte is compared with what the origin should send
 *
 * Every answer is counted as done only with status 200 and exactly BYTES bytes (100 unless said). One line of
 * JSON says what happened; in it `failed` counts what was wrong, `failure` is the first of them.
 */
#include "net.h"

#define HEAD_BYTES 4096
#define AT_ONCE 64 /* tunnels of `hold` that are being opened at a time */
#define MAX_SAMPLES (1 << 22)
#define MAX_FAILURES 1000
#define WARM_UP_SECONDS 20
#define MORE_SECONDS 20

enum phase { IDLE, CONNECTING, OPENING, ASKED, BODY, HELD };

struct conn {
  int fd;
  enum phase phase;
  int closes; /* the answer says that the connection ends with it */
  int is_used; /* it has brought an answer */
  uint64_t began;
  int64_t left;
  size_t head_bytes;
  char head[HEAD_BYTES];
};

static int epoll, proxy, origin, is_tunnel, is_looping, is_checked, is_held, is_warming;
static long long bytes = 100;
static struct conn *conns;
static int conn_count, begun;
static const uint64_t *block;
static char buffer[1 << 20];
static char request[512], opening[128];
static size_t request_bytes, opening_bytes;
static struct {
  long long done, failed, reconnects, bytes, held, under_way;
  char failure[256];
} counted;
static uint32_t *samples; /* ns of each answer */
static size_t sample_count;

static void begin(struct conn *c);

static void end(struct conn *c) {
  if (c->phase == HELD) counted.held--;
  else counted.under_way--;
  close(c->fd);
  c->fd = -1, c->phase = IDLE;
}

static void fail(struct conn *c, const char *why) {
  if (!counted.failed++) {
    snprintf(counted.failure, sizeof counted.failure, "%s; phase %d, %lld bytes left, errno %d, head %.40s", why,
             c->phase, (long long)c->left, errno, c->head_bytes ? c->head : "-");
    for (char *at = counted.failure; *at; at++)
      if (*at < ' ' || *at == '"' || *at == '\\') *at = ' ';
  }
  end(c);
  if (is_looping && !is_warming && counted.failed < MAX_FAILURES) begin(c);
}

static void watch(struct conn *c, int operation, uint32_t events) {
  struct epoll_event event = {events, {.ptr = c}};
  epoll_ctl(epoll, operation, c->fd, &event);
}

static void begin(struct conn *c) {
  counted.under_way++;
  c->began = now_ns();
  c->phase = CONNECTING, c->head_bytes = 0, c->left = 0, c->closes = c->is_used = 0;
  c->fd = begin_connect(proxy ? proxy : origin);
  if (c->fd < 0) {
    is_looping = 0; /* no port or descriptor is left: going on would only fail again */
    return fail(c, "connect");
  }
  watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static void say(struct conn *c, const char *text, size_t length, enum phase next) {
  if (send(c->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length) return fail(c, "send");
  c->phase = next, c->head_bytes = 0;
}

static void ask(struct conn *c) {
  if (!is_tunnel) c->began = now_ns();
  say(c, request, request_bytes, ASKED);
}

static void hold(struct conn *c) {
  counted.under_way--, counted.held++;
  c->phase = HELD;
}

static void finish(struct conn *c) {
  counted.done++, c->is_used = 1;
  if (sample_count < MAX_SAMPLES) {
    uint64_t took = now_ns() - c->began;
    samples[sample_count++] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
  }
  if (is_held || (is_warming && !c->closes)) return hold(c);
  if (!is_tunnel && !c->closes) return ask(c);
  counted.reconnects += !is_tunnel;
  end(c);
  if (is_looping && !is_warming) begin(c);
}

static void take_body(struct conn *c, const char *data, ssize_t length) {
  if (length > c->left) return fail(c, "more bytes than the answer has");
  if (is_checked) {
    for (ssize_t at = 0; at < length;) {
      size_t place = (size_t)(bytes - c->left) % BLOCK_BYTES;
      size_t part = BLOCK_BYTES - place < (size_t)(length - at) ? BLOCK_BYTES - place : (size_t)(length - at);
      if (memcmp((const char *)block + place, data + at, part)) return fail(c, "other bytes than were sent");
      at += (ssize_t)part, c->left -= (ssize_t)part;
    }
  } else {
    c->left -= length;
  }
  counted.bytes += length;
  if (!c->left) finish(c);
}

static void receive_body(struct conn *c) {
  size_t most = (size_t)c->left + 1 < sizeof buffer ? (size_t)c->left + 1 : sizeof buffer;
  ssize_t got = recv(c->fd, is_checked ? buffer : NULL, most, is_checked ? 0 : MSG_TRUNC);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return fail(c, "the answer was cut off");
  take_body(c, buffer, got);
}

static void take_head(struct conn *c, char *head_end) {
  size_t early = c->head_bytes - (size_t)(head_end - c->head);
  if (strncmp(c->head, "HTTP/1.", 7) || strncmp(c->head + 8, " 200", 4)) return fail(c, "not a 200");
  if (c->phase == OPENING) {
    if (early) return fail(c, "bytes that nobody asked for");
    return is_held ? hold(c) : ask(c);
  }
  const char *length = strcasestr(c->head, "\r\nContent-Length:");
  if (!length || length > head_end || atoll(length + 17) != bytes) return fail(c, "not the Content-Length");
  c->phase = BODY, c->left = bytes;
  const char *option = strcasestr(c->head, "\r\nConnection: close");
  c->closes = c->head[7] == '0' || (option && option < head_end);
  if (early) take_body(c, head_end, (ssize_t)early);
}

static void receive_head(struct conn *c) {
  ssize_t got = recv(c->fd, c->head + c->head_bytes, HEAD_BYTES - 1 - c->head_bytes, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0 && c->is_used && !c->head_bytes && !is_tunnel) {
    counted.reconnects++; /* an idle connection may be closed at any time: that is not a failure */
    end(c);
    return begin(c);
  }
  if (got <= 0) return fail(c, "closed before an answer");
  c->head_bytes += (size_t)got;
  c->head[c->head_bytes] = 0;
  char *head_end = memmem(c->head, c->head_bytes, "\r\n\r\n", 4);
  if (head_end) return take_head(c, head_end + 4);
  if (c->head_bytes == HEAD_BYTES - 1) fail(c, "a head that does not end");
}

static void finish_connect(struct conn *c) {
  int error;
  socklen_t length = sizeof error;
  getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  errno = error;
  if (error) return fail(c, "connect");
  watch(c, EPOLL_CTL_MOD, EPOLLIN);
  if (is_tunnel && proxy) return say(c, opening, opening_bytes, OPENING);
  is_held ? hold(c) : ask(c);
}

static void handle(struct conn *c) {
  switch (c->phase) {
    case IDLE: return;
    case CONNECTING: return finish_connect(c);
    case OPENING:
    case ASKED: return receive_head(c);
    case BODY: return receive_body(c);
    case HELD: return is_warming ? end(c) : fail(c, "a held tunnel closed");
  }
}

/* Serves what comes for up to `milliseconds`; returns the number of events. */
static int turn(int milliseconds) {
  struct epoll_event events[256];
  int ready = epoll_wait(epoll, events, 256, milliseconds);
  for (int i = 0; i < ready; i++) handle(events[i].data.ptr);
  return ready;
}

static int by_size(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static double quantile_ms(double part) {
  return sample_count ? samples[(size_t)(part * (double)(sample_count - 1))] / 1e6 : 0;
}

static void report(uint64_t began) {
  double seconds = (double)(now_ns() - began) / 1e9;
  qsort(samples, sample_count, sizeof *samples, by_size);
  printf("{\"done\": %lld, \"failed\": %lld, \"failure\": \"%s\", \"reconnects\": %lld, \"bytes\": %lld,"
         " \"held\": %lld, \"seconds\": %.6f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"max_ms\": %.4f}\n",
         counted.done, counted.failed, counted.failure, counted.reconnects, counted.bytes, counted.held, seconds,
         quantile_ms(0.5), quantile_ms(0.99), quantile_ms(1));
  fflush(stdout);
}

/* Opens tunnels until `wanted` are held, or nothing moves. */
static void grow(int wanted, double stall_seconds) {
  uint64_t moved = now_ns();
  long long last = counted.held;
  while (counted.held < wanted && (double)(now_ns() - moved) < stall_seconds * 1e9) {
    while (begun < wanted && counted.under_way < AT_ONCE) begin(&conns[begun++]);
    if (!counted.under_way) return; /* what is missing has failed */
    turn(100);
    if (counted.held != last) last = counted.held, moved = now_ns();
  }
}

/* Lets each connection ask once, and waits to be told to go on. */
static void warm_up(void) {
  char line[8];
  is_warming = 1;
  grow(conn_count, WARM_UP_SECONDS);
  puts("warm");
  fflush(stdout);
  if (!fgets(line, sizeof line, stdin)) exit(1);
  while (turn(0)) {} /* what closed meanwhile */
  is_warming = 0;
  counted.done = counted.reconnects = counted.bytes = 0, sample_count = 0;
}

static void run_for(double seconds) {
  if (!is_tunnel) warm_up();
  uint64_t began = now_ns(), until = began + (uint64_t)(seconds * 1e9);
  for (int i = 0; i < conn_count; i++) {
    if (conns[i].phase != HELD) begin(&conns[i]);
    else counted.held--, counted.under_way++, ask(&conns[i]);
  }
  /* Of many connections each shall have had two answers, or only the beginning would be measured. */
  while (counted.under_way && counted.failed < MAX_FAILURES && now_ns() < until + (uint64_t)MORE_SECONDS * 1000000000u &&
         (now_ns() < until || counted.done < 2 * conn_count))
    turn(100);
  report(began);
}

static void run_bulk(double stall_seconds) {
  uint64_t began = now_ns(), moved = began;
  long long last = 0;
  for (int i = 0; i < conn_count; i++) begin(&conns[i]);
  while (counted.under_way && (double)(now_ns() - moved) < stall_seconds * 1e9) {
    turn(100);
    if (counted.bytes != last) last = counted.bytes, moved = now_ns();
  }
  for (int i = 0; i < conn_count; i++)
    if (conns[i].phase != IDLE) fail(&conns[i], "stalled");
  report(began);
}

/* Asks through every held tunnel, a few at a time; stops when nothing moves. */
static void ask_all(double stall_seconds) {
  uint64_t moved = now_ns();
  long long last = counted.done;
  for (int next = 0; (double)(now_ns() - moved) < stall_seconds * 1e9;) {
    for (; next < conn_count && counted.under_way < AT_ONCE; next++) {
      struct conn *c = &conns[next];
      if (c->phase != HELD) continue;
      counted.held--, counted.under_way++, c->began = now_ns();
      ask(c);
    }
    if (!counted.under_way) return;
    turn(100);
    if (counted.done != last) last = counted.done, moved = now_ns();
  }
}

static void run_hold(double stall_seconds) {
  char order[32];
  while (fgets(order, sizeof order, stdin)) {
    uint64_t began = now_ns();
    int wanted = atoi(order);
    while (turn(0)) {} /* what closed meanwhile */
    if (wanted) grow(wanted < conn_count ? wanted : conn_count, stall_seconds);
    else ask_all(stall_seconds);
    report(began);
  }
}

int main(int count, char **arguments) {
  if (count < 6) return 2;
  const char *mode = arguments[1];
  proxy = atoi(arguments[2]), origin = atoi(arguments[3]), conn_count = atoi(arguments[4]);
  double limit = atof(arguments[5]);
  if (count > 6) bytes = atoll(arguments[6]);
  raise_descriptor_limit();
  is_tunnel = strcmp(mode, "gets") != 0;
  is_looping = !strcmp(mode, "gets") || !strcmp(mode, "tunnels");
  is_held = !strcmp(mode, "hold");
  is_checked = !strcmp(mode, "check");
  if (is_checked) make_block(&block);
  opening_bytes = (size_t)sprintf(opening, "CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", origin, origin);
  char absolute[64] = "";
  if (proxy && !is_tunnel) sprintf(absolute, "http://127.0.0.1:%d", origin);
  request_bytes = (size_t)sprintf(request,
                                  "GET %s/bench/%lld HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: bench/1.0\r\n"
                                  "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en\r\n"
                                  "Accept-Encoding: gzip, deflate\r\nReferer: http://127.0.0.1:%d/\r\n"
                                  "Cookie: session=0123456789abcdef\r\nCache-Control: no-cache\r\n\r\n",
                                  absolute, bytes, origin, origin);
  samples = malloc(sizeof *samples * MAX_SAMPLES);
  conns = calloc((size_t)conn_count, sizeof *conns);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (is_held) run_hold(limit);
  else if (is_looping) run_for(limit);
  else run_bulk(limit);
  return counted.failed ? 1 : 0;
}
