package org.legodnn;

import static org.junit.Assert.assertArrayEquals;

import java.util.Collections;
import java.util.List;

import org.junit.Test;
import org.legodnn.internal.json.JsonObject;

/** Tails of measured over predicted times are those of Python. */
public class TailTest {
    @Test
    public void tailsOfMeasuredTimesAreThoseOfPythonToTheBit() throws Exception {
        Answers.check("tails", 35, one -> {
            List<List<Object>> rows = Vectors.list(one, "ratios");
            double[][] ratios = new double[rows.size()][];
            for (int i = 0; i < ratios.length; i++) {
                ratios[i] = Vectors.doubles(rows.get(i));
            }
            double[][] given = new double[ratios.length][];
            for (int i = 0; i < ratios.length; i++) {
                given[i] = ratios[i].clone();
            }
            Tail tail = Tail.of(ratios, (int) Vectors.number(one.get("threads")), Vectors.string(one, "condition"));
            assertArrayEquals("what is given stays as it is", given, ratios);
            List<?> wanted = (List<?>) Vectors.<Object>list(one, "answer").get(5);
            double[] found = tail.stretch().values().stream().mapToDouble(Double::doubleValue).toArray();
            assertArrayEquals(Vectors.string(one, "name"), Vectors.doubles(wanted), found, 0);
            return Answers.tails(Collections.singletonList(tail)).get(0);
        });
    }
}
