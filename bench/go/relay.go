// A proxy as one writes it in Go in an afternoon: net/http for requests, Hijack and io.Copy (which is splice(2)
// on Linux) for tunnels. Usage: relay PORT [UPSTREAM_PORT], both at 127.0.0.1. It logs in nowhere.
package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
)

var (
	upstream  string
	transport = &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	hopByHop  = []string{"Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Upgrade"}
)

func tunnel(writer http.ResponseWriter, request *http.Request) {
	origin, early, err := open(request.Host)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	defer origin.Close()
	client, buffered, err := writer.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if _, err := client.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		forward(origin, client, buffered.Reader)
		close(done)
	}()
	forward(client, origin, early)
	<-done
}

func open(target string) (net.Conn, *bufio.Reader, error) {
	if upstream == "" {
		conn, err := net.Dial("tcp", target)
		return conn, nil, err
	}
	conn, err := net.Dial("tcp", upstream)
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, target)
	reader := bufio.NewReader(conn)
	answer, err := http.ReadResponse(reader, &http.Request{Method: "CONNECT"})
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("upstream: %s", answer.Status)
	}
	if err != nil {
		conn.Close()
	}
	return conn, reader, err
}

func forward(to, from net.Conn, early *bufio.Reader) {
	if early != nil && early.Buffered() > 0 {
		io.CopyN(to, early, int64(early.Buffered()))
	}
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
}

func pass(writer http.ResponseWriter, request *http.Request) {
	for _, name := range hopByHop {
		request.Header.Del(name)
	}
	request.Header.Add("Via", "1.1 relay")
	answer, err := transport.RoundTrip(request)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	for name, values := range answer.Header {
		writer.Header()[name] = values
	}
	writer.WriteHeader(answer.StatusCode)
	io.Copy(writer, answer.Body)
}

func main() {
	if len(os.Args) > 2 {
		upstream = "127.0.0.1:" + os.Args[2]
		transport.Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: upstream})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodConnect {
			tunnel(writer, request)
		} else {
			pass(writer, request)
		}
	})))
}
