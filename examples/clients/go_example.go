// A small client for Fugata: Go 1.19 or newer, the standard library and nothing else.
//
//	go run go_example.go create [--duration 1h] [--one-time] [--label TEXT]  < content
//	go run go_example.go get ID
//	go run go_example.go delete ID   (token in FUGATA_DELETION_TOKEN, else from stdin)
//
// FUGATA_URL names the service (default http://localhost:8080).
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxTries = 5                // when the service answers 429
	maxWait  = 60 * time.Second // who is told to wait longer gives up at once
	usage    = `wrong usage; the commands are
  go_example create [--duration 1h] [--one-time] [--label TEXT]
  go_example get ID
  go_example delete ID`
)

// Secret is what a new secret is made from.
type Secret struct {
	Content  string  `json:"content"`
	Duration string  `json:"duration"`
	OneTime  bool    `json:"one_time"`
	Metadata *string `json:"metadata,omitempty"`
}

// An answer is complete if it has what the API promises; another site's JSON has not.
type answer interface{ complete() bool }

// Created is the answer to create.
type Created struct {
	ID            string `json:"id"`
	DeletionToken string `json:"deletion_token"`
	ExpiresAt     string `json:"expires_at"`
}

// Retrieved is the part of the answer to retrieve that this client shows.
type Retrieved struct{ Content *string }

// Deleted is the answer to delete.
type Deleted struct{ Message string }

// Failure is every other answer.
type Failure struct{ Error string }

func (a *Created) complete() bool   { return a.ID != "" }
func (a *Retrieved) complete() bool { return a.Content != nil }
func (a *Deleted) complete() bool   { return a.Message != "" }
func (a *Failure) complete() bool   { return a.Error != "" }

// usageError says that the client was called wrongly.
type usageError string

func (e usageError) Error() string { return string(e) }

var baseURL = strings.TrimRight(envOr("FUGATA_URL", "http://localhost:8080"), "/")

// client follows no redirect: a token must not travel to an address nobody named.
var client = &http.Client{
	Timeout: 60 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	},
}

// create stores a secret.
func create(secret Secret) (created Created, err error) {
	body, err := json.Marshal(secret)
	if err != nil {
		return created, err
	}
	err = request("POST", "/secrets", body, "", &created)
	return created, err
}

// retrieve returns the content of a secret; one-time secrets are gone afterwards.
func retrieve(id string) (string, error) {
	var retrieved Retrieved
	if err := request("GET", secretPath(id), nil, "", &retrieved); err != nil {
		return "", err
	}
	return *retrieved.Content, nil
}

// remove deletes a secret with the token from its creation; it returns the service's message.
func remove(id, token string) (string, error) {
	var deleted Deleted
	err := request("DELETE", secretPath(id), nil, token, &deleted)
	return deleted.Message, err
}

func secretPath(id string) string { return "/secrets/" + url.PathEscape(id) }

// request decodes the service's answer into result; it waits and retries on 429.
func request(method, path string, body []byte, token string, result answer) error {
	for attempt := 0; ; attempt++ {
		response, text, err := send(method, path, body, token)
		if err != nil {
			return err
		}
		delay := timeToWait(response.Header, attempt)
		if response.StatusCode != 429 || delay > maxWait || attempt+1 == maxTries {
			return parse(response.StatusCode, text, result)
		}
		time.Sleep(delay)
	}
}

// send makes one request and reads the whole answer, whatever its status.
func send(method, path string, body []byte, token string) (*http.Response, []byte, error) {
	call, err := http.NewRequest(method, baseURL+path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, unreachable(err)
	}
	call.Header.Set("Accept", "application/json")
	if body != nil {
		call.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		call.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(call)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, unreachable(err)
	}
	return response, text, nil
}

// timeToWait is what the service asks for: Retry-After, else the reset time, else 1, 2, 4, 8 s.
func timeToWait(header http.Header, attempt int) time.Duration {
	if seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 32); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if reset, err := strconv.ParseInt(header.Get("X-RateLimit-Reset"), 10, 64); err == nil {
		if wait := time.Until(time.Unix(reset, 0)); wait > 0 {
			return wait
		}
	}
	return time.Second << attempt
}

// parse decodes the answer; an error carries the service's own sentence.
func parse(status int, text []byte, result answer) error {
	var failure Failure
	if status >= 300 {
		result = &failure
	}
	if json.Unmarshal(text, result) != nil || !result.complete() {
		return fmt.Errorf("unexpected answer from the service (HTTP %d)", status)
	}
	if status >= 300 {
		return errors.New(failure.Error)
	}
	return nil
}

// unreachable leaves out the request's own address: it holds the id, which opens the secret.
func unreachable(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return fmt.Errorf("cannot reach the service at %s: %w", baseURL, err)
}

// readToken returns the deletion token from the environment, else from standard input.
func readToken() (string, error) {
	token := os.Getenv("FUGATA_DELETION_TOKEN")
	if token == "" {
		input, err := io.ReadAll(os.Stdin)
		if err != nil {
			return "", err
		}
		token = string(input)
	}
	token = strings.TrimSpace(token)
	unprintable := func(r rune) bool { return r < '!' || r > '~' }
	if token == "" || strings.IndexFunc(token, unprintable) >= 0 {
		return "", usageError("give the deletion token in FUGATA_DELETION_TOKEN or on standard input")
	}
	return token, nil
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

// createCommand stores standard input, which must be UTF-8: JSON carries nothing else.
func createCommand(args []string) error {
	var secret Secret
	flags := flag.NewFlagSet("create", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&secret.Duration, "duration", "1h", "")
	flags.BoolVar(&secret.OneTime, "one-time", false, "")
	flags.Func("label", "", func(text string) error { secret.Metadata = &text; return nil })
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return usageError(usage)
	}
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	if !utf8.Valid(content) {
		return usageError("the content is not UTF-8 text")
	}
	secret.Content = string(content)
	created, err := create(secret)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(created)
}

func getCommand(id string) error {
	content, err := retrieve(id)
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(content)
	return err
}

func deleteCommand(id string) error {
	token, err := readToken()
	if err != nil {
		return err
	}
	message, err := remove(id, token)
	if err != nil {
		return err
	}
	fmt.Println(message)
	return nil
}

func run(args []string) error {
	if !strings.HasPrefix(baseURL, "http://") && !strings.HasPrefix(baseURL, "https://") {
		return usageError("FUGATA_URL must begin with http:// or https://")
	}
	withID := len(args) == 2 && args[1] != ""
	switch {
	case len(args) > 0 && args[0] == "create":
		return createCommand(args[1:])
	case withID && args[0] == "get":
		return getCommand(args[1])
	case withID && args[0] == "delete":
		return deleteCommand(args[1])
	}
	return usageError(usage)
}

// main ends with status 0 for success, 1 for an API error, 2 for wrong usage.
func main() {
	err := run(os.Args[1:])
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "error:", err)
	if errors.As(err, new(usageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}
