package org.legodnn;

import static org.junit.Assert.assertArrayEquals;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;

import java.util.HashMap;
import java.util.Map;
import java.util.Random;

import org.junit.Test;

/** Where tensors lie in a chain's memory. */
public class BuffersTest extends RuntimeTestBase {
    @Test
    public void tensorsThatAreNeverNeededTogetherShareAPlace() {
        Map<String, int[]> lives = Buffers.lifetimes(chain.manifest());
        assertArrayEquals(new int[] {-1, 0}, lives.get("x"));
        assertArrayEquals(new int[] {0, 1}, lives.get("t1"));
        assertArrayEquals(new int[] {2, 3}, lives.get("y"));
        assertArrayEquals("read by the last segment", new int[] {-1, 3}, Buffers.lifetimes(graph.manifest()).get("x"));
        Random random = new Random(1);
        for (int round = 0; round < 300; round++) {
            Map<String, int[]> some = new HashMap<>();
            Map<String, Integer> sizes = new HashMap<>();
            for (int t = 0; t < 8; t++) {
                int first = random.nextInt(6) - 1;
                some.put("t" + t, new int[] {first, first + random.nextInt(3)});
                sizes.put("t" + t, 4 * (1 + random.nextInt(100)));
            }
            Map<String, Integer> places = Buffers.layout(some, sizes);
            for (String a : places.keySet()) {
                assertEquals(0, places.get(a) % 64);
                for (String b : places.keySet()) {
                    boolean together = some.get(a)[0] <= some.get(b)[1] && some.get(b)[0] <= some.get(a)[1];
                    boolean overlap = places.get(a) < places.get(b) + sizes.get(b)
                            && places.get(b) < places.get(a) + sizes.get(a);
                    assertFalse(a + " and " + b, !a.equals(b) && together && overlap);
                }
            }
        }
        Map<String, Integer> sizes = new HashMap<>();
        for (TensorSpec spec : chain.manifest().specs.values()) {
            sizes.put(spec.name, spec.bytes());
        }
        Map<String, Integer> places = Buffers.layout(lives, sizes);
        assertEquals("x is dead when t2 is written", places.get("x"), places.get("t2"));
    }
}
