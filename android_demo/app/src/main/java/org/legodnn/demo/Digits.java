package org.legodnn.demo;

import android.graphics.Bitmap;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.legodnn.Bitmaps;
import org.legodnn.LegoModel;
import org.legodnn.LegoRuntime;
import org.legodnn.SuspendedException;

/** The bundled test digits, which nothing was trained or fitted on. */
final class Digits {
    private final byte[] labels;
    private final float[][] images;

    private Digits(byte[] labels, float[][] images) {
        this.labels = labels;
        this.images = images;
    }

    /** Read what `tools/pack_assets.py` writes; IOException if it ends early or makes no sense. */
    static Digits read(InputStream stream) throws IOException {
        DataInputStream data = new DataInputStream(stream);
        int count = data.readInt();
        int values = data.readInt();
        if (count <= 0 || values <= 0 || (long) count * values > 1 << 24) {
            throw new IOException("digits.bin names " + count + " digits of " + values + " values");
        }
        byte[] labels = new byte[count];
        data.readFully(labels);
        float[][] images = new float[count][values];
        byte[] raw = new byte[4 * values];
        for (float[] image : images) {
            data.readFully(raw);
            ByteBuffer.wrap(raw).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(image);
        }
        return new Digits(labels, images);
    }

    int count() {
        return labels.length;
    }

    float[] image(int index) {
        return images[index];
    }

    /** Whether the largest of the scores is the right digit's. */
    boolean isRight(int index, float[] scores) {
        return best(scores) == labels[index];
    }

    private static int best(float[] scores) {
        int best = 0;
        for (int i = 1; i < scores.length; i++) {
            if (scores[i] > scores[best]) {
                best = i;
            }
        }
        return best;
    }

    /** What each model of a runtime takes a picture for, such as "plain: 7, residual: 7". */
    static String recognised(LegoRuntime runtime, List<LegoModel> models, Bitmap digit) {
        StringBuilder words = new StringBuilder();
        for (LegoModel model : models) {
            String name = model.table().name();
            words.append(words.length() == 0 ? "" : ", ").append(name).append(": ");
            try {
                float[] input = Bitmaps.input(digit, model.store().manifest().inputs().get(0));
                words.append(best(runtime.infer(name, input)));
            } catch (SuspendedException e) {
                words.append("–");
            }
        }
        return words.toString();
    }
}
