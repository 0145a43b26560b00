package kafka

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// longestWait is between two tries of a partition that was put off.
const longestWait = 30 * time.Second

// assigned and revoked note which partitions this member reads. Neither comes between a poll and the commit of what it brought.
func (c *Consumer) assigned(_ context.Context, _ *kgo.Client, places map[string][]int32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range places {
		for _, n := range partitions {
			c.own[place{topic, n}] = &delay{}
		}
	}
	c.metrics.partitions.Set(float64(len(c.own)))
	c.log.Info("partitions are ours to read", "group", c.cfg.Group, "partitions", places, "all", len(c.own))
}

func (c *Consumer) revoked(_ context.Context, client *kgo.Client, places map[string][]int32) {
	client.ResumeFetchPartitions(places) // should they come back
	c.mu.Lock()
	defer c.mu.Unlock()
	for topic, partitions := range places {
		for _, n := range partitions {
			delete(c.own, place{topic, n})
			c.metrics.lag.DeleteLabelValues(topic, strconv.Itoa(int(n)))
		}
	}
	c.metrics.partitions.Set(float64(len(c.own)))
	c.log.Info("partitions are others' to read", "group", c.cfg.Group, "partitions", places, "all", len(c.own))
}

// rewind has the rest of a share read again: at once if there was no time for it, else after a while in which the partition is paused.
func (c *Consumer) rewind(s *share) {
	r := s.records[s.done]
	if s.err != nil {
		c.pause(s.place)
	}
	c.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{s.topic: {s.partition: {Epoch: r.LeaderEpoch, Offset: r.Offset}}})
}

// pause has a partition read again after a while, which doubles until the partition works.
func (c *Consumer) pause(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.own[p]
	if d == nil {
		return // it is no longer ours
	}
	d.wait = min(max(2*d.wait, time.Second), longestWait)
	d.until = time.Now().Add(d.wait)
	c.client.PauseFetchPartitions(map[string][]int32{p.topic: {p.partition}})
}

// works notes that all that came of a partition is stored.
func (c *Consumer) works(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.own[p]; d != nil {
		d.wait = 0
	}
}

// resume lets partitions be read again whose time has come, and returns when the next one's will, or a minute later.
func (c *Consumer) resume(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := now.Add(time.Minute)
	for p, d := range c.own {
		switch {
		case d.until.IsZero():
		case !d.until.After(now):
			d.until = time.Time{}
			c.client.ResumeFetchPartitions(map[string][]int32{p.topic: {p.partition}})
		case d.until.Before(next):
			next = d.until
		}
	}
	return next
}
