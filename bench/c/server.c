/* Origin and upstream in one: `server [KEY CHALLENGE]`; its port is the first line it prints.
 *
 *   GET .../N        N bytes of the block (net.h), after a head of nine fields
 *   POST .../...     the number of bytes received, as a text
 *   GET /counters    what it has counted so far, as JSON
 *   CONNECT H:P      a tunnel to 127.0.0.1:P by splice(2)
 *
 * It answers absolute-form targets itself, as if the origin were behind it: so a chain has one hop less to
 * pay for. With KEY and CHALLENGE (hex; ntlm.h) each connection has to log in by NTLMv2 first.
 */
#include <ctype.h>

#include "net.h"
#include "ntlm.h"

#define HEAD_BYTES 16384
#define PIPE_BYTES (1 << 20)
#define SMALL_BYTES 65536 /* answers up to here go out in one send, head and body */

enum phase { READING, SENDING, RECEIVING, CONNECTING, TUNNEL };

struct pipe {
  int out, in;
  struct pipe *next;
};

struct conn {
  int fd;
  enum phase phase;
  uint32_t events; /* what epoll watches */
  struct conn *peer; /* of a tunnel */
  struct conn *dead_next;
  int is_dead;
  /* a tunnel: from this connection to its peer */
  struct pipe *pipe;
  size_t piped;
  int has_ended, is_blocked;
  /* a request */
  char head[HEAD_BYTES];
  size_t head_bytes;
  int is_kept;
  /* a body */
  int64_t left, moved; /* of a chunked one: of the chunk */
  int is_chunked, chunk_state;
  /* a login */
  uint8_t challenge[8];
  int is_challenged, is_in;
};

static int epoll, block_fd, wants_login;
static const uint64_t *block;
static struct ntlm ntlm;
static struct pipe *free_pipes;
static struct conn *dead;
static char scratch[256 * 1024];
static struct {
  uint64_t connections, requests, refusals, logins, failures, tunnels, bytes;
} counted;

static void watch(struct conn *c, uint32_t events) {
  if (c->events == events) return;
  struct epoll_event event = {events, {.ptr = c}};
  epoll_ctl(epoll, c->events == UINT32_MAX ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, c->fd, &event);
  c->events = events;
}

static struct conn *add(int fd) {
  struct conn *c = malloc(sizeof *c);
  memset(c, 0, offsetof(struct conn, head));
  memset(&c->head_bytes, 0, sizeof *c - offsetof(struct conn, head_bytes));
  c->fd = fd, c->events = UINT32_MAX;
  return c;
}

static struct pipe *take_pipe(void) {
  struct pipe *pipe = free_pipes;
  if (pipe) {
    free_pipes = pipe->next;
    return pipe;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC)) die("pipe");
  fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
  pipe = malloc(sizeof *pipe);
  *pipe = (struct pipe){ends[0], ends[1], NULL};
  return pipe;
}

static void give_pipe(struct conn *c) {
  if (c->piped) {
    close(c->pipe->in), close(c->pipe->out), free(c->pipe);
  } else {
    c->pipe->next = free_pipes, free_pipes = c->pipe;
  }
  c->pipe = NULL, c->piped = 0;
}

static void drop(struct conn *c) {
  for (struct conn *each = c, *peer = c->peer; each; each = peer, peer = NULL) {
    if (each->is_dead) continue;
    if (each->pipe) give_pipe(each);
    close(each->fd);
    each->is_dead = 1, each->dead_next = dead, dead = each; /* freed once no event can name it */
  }
}

static int send_all(struct conn *c, const char *data, size_t length) {
  ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
  return sent == (ssize_t)length; /* a few hundred bytes into an empty socket: all or a broken connection */
}

static void update(struct conn *c) {
  uint32_t events = 0;
  if (!c->has_ended && !c->is_blocked) events |= EPOLLIN;
  if (c->peer->is_blocked) events |= EPOLLOUT;
  watch(c, events);
}

/* Moves what there is from c to its peer. */
static void carry(struct conn *c) {
  struct conn *peer = c->peer;
  while (!c->is_dead) {
    if (!c->piped) {
      if (c->has_ended) break;
      if (!c->pipe) c->pipe = take_pipe();
      ssize_t got = splice(c->fd, NULL, c->pipe->in, NULL, PIPE_BYTES, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (got < 0 && errno == EAGAIN) break;
      if (got < 0) return drop(c);
      if (!got) {
        c->has_ended = 1;
        shutdown(peer->fd, SHUT_WR);
        if (peer->has_ended && !peer->piped) return drop(c);
        break;
      }
      c->piped = (size_t)got, counted.bytes += (uint64_t)got;
    }
    ssize_t put = splice(c->pipe->out, NULL, peer->fd, NULL, c->piped, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    if (put < 0 && errno != EAGAIN) return drop(c);
    if (put > 0) c->piped -= (size_t)put;
    c->is_blocked = c->piped > 0;
    if (c->is_blocked) break;
  }
  if (c->is_dead) return;
  if (c->pipe && !c->piped) give_pipe(c);
  update(c), update(peer);
}

static void open_tunnel(struct conn *c, const char *target, size_t length) {
  const char *colon = memrchr(target, ':', length);
  int fd = colon ? begin_connect(atoi(colon + 1)) : -1;
  if (fd < 0) return drop(c);
  struct conn *origin = add(fd);
  origin->peer = c, c->peer = origin;
  origin->phase = CONNECTING, c->phase = CONNECTING;
  watch(c, 0), watch(origin, EPOLLOUT);
}

static void finish_connect(struct conn *origin) {
  struct conn *c = origin->peer;
  int error;
  socklen_t length = sizeof error;
  getsockopt(origin->fd, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error) return drop(c);
  static const char opened[] = "HTTP/1.1 200 Connection established\r\n\r\n";
  if (!send_all(c, opened, sizeof opened - 1)) return drop(c);
  if (c->head_bytes && !send_all(origin, c->head, c->head_bytes)) return drop(c);
  counted.tunnels++;
  origin->phase = c->phase = TUNNEL;
  update(c), update(origin);
}

static int format_head(char *out, long long length, const char *type) {
  return sprintf(out,
                 "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\nServer: bench\r\n"
                 "Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT\r\nETag: \"5f-61\"\r\nAccept-Ranges: bytes\r\n"
                 "Cache-Control: no-store\r\nVary: Accept-Encoding\r\nContent-Type: %s\r\n"
                 "Content-Length: %lld\r\n\r\n",
                 type, length);
}

static void end_answer(struct conn *c) {
  c->phase = READING, c->moved = 0;
  if (!c->is_kept) {
    shutdown(c->fd, SHUT_WR); /* the other side closes: what it still sends is no request any more */
    return drop(c);
  }
  watch(c, EPOLLIN);
}

static void send_body(struct conn *c) {
  while (c->left) {
    off_t at = (off_t)(c->moved % BLOCK_BYTES);
    size_t most = BLOCK_BYTES - (size_t)at;
    ssize_t sent = sendfile(c->fd, block_fd, &at, c->left < (int64_t)most ? (size_t)c->left : most);
    if (sent < 0 && errno == EAGAIN) return watch(c, EPOLLOUT);
    if (sent <= 0) return drop(c);
    c->left -= sent, c->moved += sent, counted.bytes += (uint64_t)sent;
  }
  end_answer(c);
}

static void answer_bytes(struct conn *c, long long length) {
  int head = format_head(scratch, length, "application/octet-stream");
  if (length <= SMALL_BYTES) {
    memcpy(scratch + head, block, (size_t)length);
    if (!send_all(c, scratch, (size_t)(head + length))) return drop(c);
    return end_answer(c);
  }
  if (send(c->fd, scratch, (size_t)head, MSG_NOSIGNAL | MSG_MORE) != head) return drop(c);
  c->phase = SENDING, c->left = length, c->moved = 0;
  send_body(c);
}

static void answer_text(struct conn *c, const char *text) {
  int head = format_head(scratch, (long long)strlen(text), "text/plain");
  strcpy(scratch + head, text);
  if (!send_all(c, scratch, (size_t)head + strlen(text))) return drop(c);
  end_answer(c);
}

static void answer_counters(struct conn *c) {
  char text[512];
  sprintf(text,
          "{\"connections\": %llu, \"requests\": %llu, \"refusals\": %llu, \"logins\": %llu, \"failures\": %llu,"
          " \"tunnels\": %llu, \"bytes\": %llu}\n",
          (unsigned long long)counted.connections, (unsigned long long)counted.requests,
          (unsigned long long)counted.refusals, (unsigned long long)counted.logins,
          (unsigned long long)counted.failures, (unsigned long long)counted.tunnels,
          (unsigned long long)counted.bytes);
  answer_text(c, text);
}

static void finish_upload(struct conn *c) {
  char text[32];
  sprintf(text, "%lld\n", (long long)c->moved);
  answer_text(c, text);
}

enum { SIZE, EXTENSION, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, FINAL_LF };

/* Reads a chunked body (RFC 9112 7.1). Returns 1 when it is complete, -1 when it is broken. */
static int receive_chunked(struct conn *c, const char *data, ssize_t length) {
  for (ssize_t i = 0; i < length;) {
    char byte = data[i];
    switch (c->chunk_state) {
      case SIZE:
        if (isxdigit((unsigned char)byte)) {
          c->left = c->left * 16 + (isdigit((unsigned char)byte) ? byte - '0' : (byte | 32) - 'a' + 10);
        } else if (byte == '\n') {
          c->chunk_state = c->left ? DATA : TRAILER;
        } else {
          c->chunk_state = byte == '\r' || byte == ';' ? EXTENSION : -1;
        }
        i++;
        break;
      case EXTENSION:
        if (byte == '\n') c->chunk_state = c->left ? DATA : TRAILER;
        i++;
        break;
      case DATA: {
        ssize_t part = length - i < c->left ? length - i : (ssize_t)c->left;
        i += part, c->left -= part, c->moved += part, counted.bytes += (uint64_t)part;
        if (!c->left) c->chunk_state = DATA_CR;
        break;
      }
      case DATA_CR:
      case DATA_LF:
        if (byte != (c->chunk_state == DATA_CR ? '\r' : '\n')) return -1;
        c->chunk_state = c->chunk_state == DATA_CR ? DATA_LF : SIZE, i++;
        break;
      case TRAILER:
        c->chunk_state = byte == '\r' ? FINAL_LF : TRAILER_LINE, i++;
        break;
      case TRAILER_LINE:
        if (byte == '\n') c->chunk_state = TRAILER;
        i++;
        break;
      case FINAL_LF:
        return byte == '\n' && i == length - 1 ? 1 : -1;
      default:
        return -1;
    }
  }
  return 0;
}

static void take_body(struct conn *c, const char *data, ssize_t length) {
  if (c->is_chunked) {
    int end = receive_chunked(c, data, length);
    if (end) end > 0 ? finish_upload(c) : drop(c);
    return;
  }
  if (length > c->left) return drop(c);
  c->left -= length, c->moved += length, counted.bytes += (uint64_t)length;
  if (!c->left) finish_upload(c);
}

static void receive_body(struct conn *c) {
  for (int turn = 0; turn < 8 && c->phase == RECEIVING && !c->is_dead; turn++) {
    /* Of a body with a length the bytes are counted and thrown away in the kernel. */
    ssize_t got = c->is_chunked ? recv(c->fd, scratch, sizeof scratch, 0)
                                : recv(c->fd, NULL, c->left < (1 << 24) ? (size_t)c->left : 1 << 24, MSG_TRUNC);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return drop(c);
    take_body(c, scratch, got);
  }
}

/* The value of a field, its length at *length; NULL where there is none. */
static const char *find_field(const char *head, const char *name, size_t *length) {
  size_t name_length = strlen(name);
  for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
    line += 2;
    if (strncasecmp(line, name, name_length) || line[name_length] != ':') continue;
    const char *value = line + name_length + 1;
    while (*value == ' ') value++;
    *length = (size_t)(strstr(value, "\r\n") - value);
    return value;
  }
  return NULL;
}

static int has_word(const char *head, const char *name, const char *word) {
  size_t length;
  const char *value = find_field(head, name, &length);
  return value && length == strlen(word) && !strncasecmp(value, word, length);
}

static void refuse(struct conn *c, const char *challenge) {
  static const char page[] = "<html><body>This proxy wants a login.</body></html>\n";
  counted.refusals++;
  int length = sprintf(scratch,
                       "HTTP/1.1 407 Proxy Authentication Required\r\nServer: bench\r\nContent-Type: text/html\r\n"
                       "Content-Length: %zu\r\nProxy-Authenticate: NTLM%s%s\r\n\r\n%s",
                       sizeof page - 1, *challenge ? " " : "", challenge, page);
  if (!send_all(c, scratch, (size_t)length)) drop(c);
}

/* Whether the request may pass; else it has been refused. */
static int is_let_in(struct conn *c) {
  if (!wants_login) return 1;
  size_t length;
  const char *value = find_field(c->head, "Proxy-Authorization", &length);
  const char *token = value && length > 5 && !strncasecmp(value, "NTLM ", 5) ? value + 5 : NULL;
  if (!token && c->is_in) return 1;
  int type = token ? ntlm_type(token, length - 5) : 0;
  int was_challenged = c->is_challenged;
  c->is_challenged = c->is_in = 0;
  if (type == 3 && was_challenged) {
    c->is_in = ntlm_verify(&ntlm, c->challenge, token, length - 5);
    c->is_in ? counted.logins++ : counted.failures++;
    if (c->is_in) return 1;
  }
  char challenge[2 * NTLM_MAX_BYTES] = "";
  if (type == 1) {
    static uint64_t seed;
    if (!seed) seed = now_ns();
    seed = seed * 6364136223846793005u + 1442695040888963407u; /* never the same twice; it guards nothing */
    memcpy(c->challenge, &seed, 8);
    challenge[ntlm_challenge(&ntlm, c->challenge, challenge)] = 0;
    c->is_challenged = 1;
  }
  refuse(c, challenge);
  return 0;
}

static void serve(struct conn *c, size_t head_end) {
  size_t length, early = c->head_bytes - head_end;
  char *target = memchr(c->head, ' ', head_end), *target_end = target ? strchr(target + 1, ' ') : NULL;
  if (!target_end || target_end > c->head + head_end) return drop(c);
  target++;
  /* The last CRLF is cut off, so that the fields end where the text does; what came early is moved after. */
  char first = c->head[head_end - 2];
  c->head[head_end - 2] = 0;
  c->is_kept = !has_word(c->head, "Connection", "close") && !strncmp(target_end + 1, "HTTP/1.1", 8);
  int is_connect = !strncmp(c->head, "CONNECT ", 8), is_upload = c->head[0] == 'P';
  const char *field = find_field(c->head, "Content-Length", &length);
  c->left = field ? atoll(field) : 0, c->moved = 0, c->chunk_state = SIZE;
  c->is_chunked = has_word(c->head, "Transfer-Encoding", "chunked");
  if (c->is_chunked) c->left = 0;
  int is_counters = !strncmp(target, "/counters ", 10);
  int is_let = is_counters || is_let_in(c), expects = has_word(c->head, "Expect", "100-continue");
  int has_body = c->is_chunked || c->left;
  const char *slash = memrchr(target, '/', (size_t)(target_end - target));
  long long wanted = slash ? atoll(slash + 1) : 0;
  /* A TRACE is nobody's request: Px sends it ahead of one, to have a connection that is logged in. */
  if (!is_counters && strncmp(c->head, "TRACE ", 6)) counted.requests++;
  c->head[head_end - 2] = first;
  if (!is_let && has_body) return drop(c); /* it would have to be read away first */
  if (is_let && is_connect) {
    size_t target_length = (size_t)(target_end - target);
    char authority[256];
    if (target_length >= sizeof authority) return drop(c);
    memcpy(authority, target, target_length);
    memmove(c->head, c->head + head_end, early), c->head_bytes = early;
    return open_tunnel(c, authority, target_length);
  }
  memmove(c->head, c->head + head_end, early), c->head_bytes = early;
  if (!is_let || c->is_dead) return;
  if (is_counters) return answer_counters(c);
  if (!is_upload) return answer_bytes(c, wanted);
  if (expects && !send_all(c, "HTTP/1.1 100 Continue\r\n\r\n", 25)) return drop(c);
  c->phase = RECEIVING, c->head_bytes = 0;
  if (!has_body) return finish_upload(c);
  if (early) take_body(c, c->head, (ssize_t)early);
}

static void read_requests(struct conn *c) {
  ssize_t got = recv(c->fd, c->head + c->head_bytes, HEAD_BYTES - 1 - c->head_bytes, 0);
  if (got < 0 && errno == EAGAIN) return;
  if (got <= 0) return drop(c);
  c->head_bytes += (size_t)got;
  while (!c->is_dead && c->phase == READING && c->head_bytes) {
    c->head[c->head_bytes] = 0;
    char *end = memmem(c->head, c->head_bytes, "\r\n\r\n", 4);
    if (!end && c->head_bytes == HEAD_BYTES - 1) return drop(c);
    if (!end) return;
    serve(c, (size_t)(end + 4 - c->head));
  }
}

static void handle(struct conn *c, uint32_t events) {
  if (c->is_dead) return;
  switch (c->phase) {
    case READING: return read_requests(c);
    case SENDING: return send_body(c);
    case RECEIVING: return receive_body(c);
    case CONNECTING: return c->events & EPOLLOUT ? finish_connect(c) : drop(c);
    case TUNNEL:
      if (c->peer->is_blocked && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) carry(c->peer);
      if (!c->is_dead && events & (EPOLLERR | EPOLLHUP) && c->has_ended) drop(c);
      if (!c->is_dead && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) carry(c);
  }
}

static void accept_all(int listening) {
  int fd;
  while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    set_nodelay(fd);
    counted.connections++;
    watch(add(fd), EPOLLIN);
  }
}

int main(int count, char **arguments) {
  if (count == 3 && !(wants_login = ntlm_init(&ntlm, arguments[1], arguments[2]))) return 2;
  raise_descriptor_limit();
  block_fd = make_block(&block);
  epoll = epoll_create1(EPOLL_CLOEXEC);
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  struct sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  if (bind(listening, (struct sockaddr *)&address, length) || listen(listening, 4096)) die("listen");
  getsockname(listening, (struct sockaddr *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &event);
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr) handle(events[i].data.ptr, events[i].events);
      else accept_all(listening);
    }
    for (struct conn *c; (c = dead);) dead = c->dead_next, free(c);
  }
}
