import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Date;
import java.util.List;
import java.util.Set;
import org.bouncycastle.jce.provider.BouncyCastleProvider;

/**
 * Validates chains with BouncyCastle's PKIX validator (RFC 5280 §6). One chain a line of standard input: Unix seconds, then the
 * certificates in base64, end entity first, root last. Answers OK or the reason, a line each.
 */
public final class ChainCheck {
    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            System.out.println(judge(line.trim().split(" ")));
        }
    }

    private static String judge(String[] words) {
        try {
            CertificateFactory factory = CertificateFactory.getInstance("X.509", "BC");
            List<X509Certificate> chain = new ArrayList<>();
            for (int word = 1; word < words.length; word++) {
                byte[] der = Base64.getDecoder().decode(words[word]);
                chain.add((X509Certificate) factory.generateCertificate(new ByteArrayInputStream(der)));
            }
            X509Certificate root = chain.remove(chain.size() - 1);
            root.verify(root.getPublicKey(), "BC");
            PKIXParameters parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
            parameters.setRevocationEnabled(false);
            parameters.setDate(new Date(Long.parseLong(words[0]) * 1000));
            chain.get(0).getExtendedKeyUsage();
            CertPathValidator.getInstance("PKIX", "BC").validate(factory.generateCertPath(chain), parameters);
            return "OK";
        } catch (Exception error) {
            return error.getClass().getSimpleName() + ": " + error.getMessage();
        }
    }
}
