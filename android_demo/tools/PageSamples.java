import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/**
 * Writes a class whose methods are the Java samples of pages, so that they can be compiled:
 * {@code java tools/PageSamples.java FOLDER PAGE...}. What a sample uses and does not declare is a parameter of its
 * method. A sample that begins with {@code class} or {@code public} is taken as a class.
 */
public final class PageSamples {
    private static final List<String> KNOWN = Arrays.asList("Context context", "Store faces", "Store scenes",
            "Store store", "Profile ofFaces", "Profile ofScenes", "float[] pixels", "Image image",
            "int rotationDegrees", "InputSpec spec", "File file", "File kept", "LegoRuntime runtime",
            "Governor governor", "Workload workload", "BlockExecutor executor", "boolean running",
            "Map<String, ByteBuffer> inputs", "Map<String, ByteBuffer> outputs");
    private static final List<String> IMPORTS = Arrays.asList("android.app.*", "android.content.*",
            "android.media.Image", "android.util.Log", "java.io.*", "java.nio.ByteBuffer", "java.util.*",
            "java.util.concurrent.*", "org.legodnn.*", "org.legodnn.governing.*", "org.legodnn.litert2.*");
    private static final Pattern SAMPLE = Pattern.compile("(?ms)^```java\n(.*?)^```$");

    private PageSamples() {}

    public static void main(String[] args) throws IOException {
        StringBuilder text = new StringBuilder();
        IMPORTS.forEach(one -> text.append("import ").append(one).append(";\n"));
        text.append("\nclass Samples {\n");
        int count = 0;
        for (String page : Arrays.asList(args).subList(1, args.length)) {
            Matcher samples = SAMPLE.matcher(new String(Files.readAllBytes(Paths.get(page)), StandardCharsets.UTF_8));
            while (samples.find()) {
                String sample = samples.group(1);
                text.append("    // ").append(page).append('\n');
                if (sample.matches("(?s)(public |final )*class .*")) {
                    text.append("    static ").append(sample.replaceFirst("^public ", "")).append('\n');
                } else {
                    text.append("    void sample").append(count).append('(').append(parameters(sample))
                            .append(") throws Exception {\n").append(sample).append("    }\n\n");
                }
                count++;
            }
        }
        Path file = Paths.get(args[0], "Samples.java");
        Files.createDirectories(file.getParent());
        Files.write(file, text.append("}\n").toString().getBytes(StandardCharsets.UTF_8));
        System.out.println(count + " samples");
    }

    private static String parameters(String sample) {
        return KNOWN.stream().filter(one -> {
            String name = one.substring(one.lastIndexOf(' ') + 1);
            return !Pattern.compile("[\\w>\\]] " + name + " =").matcher(sample).find();
        }).collect(Collectors.joining(", "));
    }
}
